import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { expect, onTestFinished, test } from 'vitest';
import type { Digest } from '../../src/oci/digest.ts';
import { copyGoldenInput, type Sandbox, sandbox } from '../support/kit.ts';
import { startRegistry, type TestRegistry } from '../support/registry.ts';

async function twoRegistries(): Promise<{ box: Sandbox; a: TestRegistry; b: TestRegistry; digest: string }> {
  const box = await sandbox();
  const [a, b] = [await startRegistry(), await startRegistry()];
  onTestFinished(async () => {
    await Promise.all([a.close(), b.close()]);
  });
  await copyGoldenInput(box.path('src'));
  await box.ok('pack src -t tiny:v1');
  await box.ok(`push tiny:v1 ${a.host}/team/tiny:v1`);
  const { digest } = JSON.parse(await box.ok('inspect tiny:v1')) as { digest: string };
  return { box, a, b, digest };
}

/** With a home that nothing was put into. */
const elsewhere = (box: Sandbox) => ({ env: { KIT_HOME: box.path('elsewhere') } });

test('between registries, and again, and within one', async () => {
  const { box, a, b, digest } = await twoRegistries();
  const other = elsewhere(box);
  expect(await box.kit(`copy ${a.host}/team/tiny:v1 ${b.host}/mirror/tiny`, other)).toMatchInlineSnapshot(`
    exit 0
    --- stdout
    Copying 127.0.0.1:55555/team/tiny:v1 to 127.0.0.1:55555/mirror/tiny:v1
    Copied sha256:1a79da52c1a9… (54.2 KiB moved)
  `);
  expect(await box.kit(`cp ${a.host}/team/tiny:v1 ${b.host}/mirror/tiny`, other)).toMatchInlineSnapshot(`
    exit 0
    --- stdout
    Copying 127.0.0.1:55555/team/tiny:v1 to 127.0.0.1:55555/mirror/tiny:v1
    Copied sha256:1a79da52c1a9… (0 B moved, 54.2 KiB there already)
  `);
  expect(await box.kit(`copy ${a.host}/team/tiny:v1 ${a.host}/prod/tiny:v2`, other)).toMatchInlineSnapshot(`
    exit 0
    --- stdout
    Copying 127.0.0.1:55555/team/tiny:v1 to 127.0.0.1:55555/prod/tiny:v2
    Copied sha256:1a79da52c1a9… (2.3 KiB moved, 51.9 KiB mounted)
  `);
  expect(existsSync(box.path('elsewhere'))).toBe(false);
  expect(JSON.parse(await box.ok(`copy --format json ${a.host}/team/tiny:v1 ${b.host}/x:one,two`, other))).toMatchObject([
    {
      source: `${a.host}/team/tiny:v1`.replace(/:\d+\//, ':55555/'),
      digest,
      moved: { count: 12 },
      mounted: { count: 0 },
      skipped: { count: 0 },
    },
  ]);
  await box.ok(`unpack ${b.host}/x:two -d out`, other);
  expect(await readFile(box.path('out/config.json'))).toEqual(await readFile(box.path('src/config.json')));
});

test('a blob that the source changed stops it: exit 6, and no tag', async () => {
  const { box, a, b } = await twoRegistries();
  const [layer] = [...(a.storage.find('team/tiny')?.blobs ?? [])];
  await a.storage.replaceBlob(layer as Digest, Buffer.from('something else'));
  const run = await box.kit(`copy ${a.host}/team/tiny:v1 ${b.host}/mirror/tiny`, elsewhere(box));
  expect(run.status).toBe(6);
  expect(run.stderr).toContain('(source)');
  expect(b.storage.find('mirror/tiny')?.tags.size ?? 0).toBe(0);
});

test('names on the wrong side of the rule', async () => {
  const { box, a, b } = await twoRegistries();
  await box.ok(`tag tiny:v1 ${a.host}/team/tiny:local-only`);
  expect(await box.kit(`copy nada:v1 ${b.host}/x`)).toMatchInlineSnapshot(`
    exit 3
    --- stderr
    error: nada:v1 is not in local storage

    hint: a name without a registry is looked for in local storage (\`kit list\`); for a registry write REGISTRY/nada:v1
  `);
  expect(await box.kit(`copy ${a.host}/team/tiny:local-only ${b.host}/x`)).toMatchInlineSnapshot(`
    exit 3
    --- stderr
    error: 127.0.0.1:55555/team/tiny:local-only: not found in the registry (GET http://127.0.0.1:55555/v2/team/tiny/manifests/local-only: 404 MANIFEST_UNKNOWN: manifest unknown) (source)

    hint: local storage has it: \`--from-local\` copies it from there; or else: check the spelling; a private repository also looks like this without the right credentials
  `);
  await box.ok(`copy --from-local ${a.host}/team/tiny:local-only ${b.host}/x`);
  expect(await box.kit(`copy --all-tags ${a.host}/team/tiny:v1 ${b.host}/x`)).toMatchInlineSnapshot(`
    exit 2
    --- stderr
    error: --all-tags copies every tag: neither side may name a tag or a digest

    hint: \`kit copy --help\` shows its arguments and options
  `);
});

test('a copy that comes to nothing makes no layout', async () => {
  const box = await sandbox();
  const run = await box.kit('copy oci:./nowhere:v1 oci:./out:v1');
  expect(run.status).toBe(3);
  expect(existsSync(box.path('out'))).toBe(false);
});
