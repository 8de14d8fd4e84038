import { spawnSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { digestOf } from '../../src/oci/digest.ts';
import { hasDockerRegistry, startDockerRegistry } from '../support/docker-registry.ts';
import { copyGoldenInput, type Sandbox, sandbox } from '../support/kit.ts';

const hasSkopeo = spawnSync('skopeo', ['--version']).status === 0;

interface Manifest {
  readonly config: { readonly digest: string };
  readonly layers: readonly { readonly digest: string }[];
}

async function packed(): Promise<{ box: Sandbox; digest: string; manifest: Manifest }> {
  const box = await sandbox();
  await copyGoldenInput(box.path('src'));
  await box.ok('pack src -t tiny:v1');
  const { digest, manifest } = JSON.parse(await box.ok('inspect tiny:v1')) as { digest: string; manifest: Manifest };
  return { box, digest, manifest };
}

function skopeo(box: Sandbox, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync('skopeo', ['--insecure-policy', ...args], { cwd: box.root, encoding: 'utf8' });
  if (status !== 0) throw new Error(`skopeo ${args.join(' ')}: ${stderr}`);
  return stdout;
}

async function expectSameFiles(box: Sandbox, out: string): Promise<void> {
  const tree = await box.tree(out);
  expect(tree).toContain('weights/');
  // the text of the Kitfile comes back only where it was packed
  for (const path of tree.filter((one) => !one.endsWith('/') && one !== 'Kitfile'))
    expect(await readFile(box.path(out, path)), path).toEqual(await readFile(box.path('src', path)));
}

describe.skipIf(!hasSkopeo)('skopeo', () => {
  test('reads our storage, layout and archive', async () => {
    const { box, digest, manifest } = await packed();
    await box.ok('push tiny:v1 oci:layout:v1');
    await box.ok('push tiny:v1 oci-archive:tiny.tar:v1');
    for (const place of ['oci:home/storage:tiny:v1', 'oci:layout:v1', 'oci-archive:tiny.tar:v1']) {
      const seen = JSON.parse(skopeo(box, 'inspect', '--raw', place)) as Manifest;
      expect(
        seen.layers.map((layer) => layer.digest),
        place,
      ).toEqual(manifest.layers.map((layer) => layer.digest));
      expect(digestOf(Buffer.from(skopeo(box, 'inspect', '--raw', place))), place).toBe(digest);
    }
  });

  test('an artifact that it copied is unpacked, with the same digest', async () => {
    const { box, digest } = await packed();
    await box.ok('push tiny:v1 oci:layout:v1');
    skopeo(box, 'copy', '--preserve-digests', 'oci:layout:v1', 'oci:theirs:v1');
    skopeo(box, 'copy', '--preserve-digests', 'oci:layout:v1', 'oci-archive:theirs.tar:v1');
    for (const place of ['oci:theirs:v1', 'oci-archive:theirs.tar:v1']) {
      expect(JSON.parse(await box.ok(`inspect ${place}`))).toHaveProperty('digest', digest);
      const out = place.replaceAll(/\W/g, '-');
      await box.ok(`unpack ${place} -d ${out}`);
      await expectSameFiles(box, out);
    }
  });
});

describe.skipIf(!hasDockerRegistry)('docker-registry, which has no referrers API', () => {
  test('pack, push, list, pull, unpack, tag, remove', async () => {
    const { box, digest } = await packed();
    const registry = await startDockerRegistry();
    onTestFinished(() => registry.close());
    const name = `${registry.host}/team/tiny`;
    await box.ok(`push tiny:v1 ${name}:v1,v2`);
    expect((await box.ok(`list ${name}`)).match(/\bv[12]\b/g)).toEqual(['v1', 'v2']);
    const elsewhere = { env: { KIT_HOME: box.path('elsewhere') } };
    expect(await box.ok(`pull ${name}:v1`, elsewhere)).toContain(`Pulled ${digest}`);
    await box.ok(`unpack ${name}:v1 -d pulled`, elsewhere);
    await expectSameFiles(box, 'pulled');
    await box.ok(`unpack ${name}:v2 -d direct`, { env: { KIT_HOME: box.path('third') } });
    await expectSameFiles(box, 'direct');
    // it cannot delete one tag of two, and says so
    expect(await box.kit(`remove --remote ${name}:v1`)).toMatchInlineSnapshot(`
      exit 1
      --- stderr
      error: 127.0.0.1:55555/team/tiny:v1: the registry cannot delete a tag alone, and sha256:1a79da52c1a9… is also tagged v2

      hint: to delete it with all its tags: \`kit remove --remote 127.0.0.1:55555/team/tiny@sha256:1a79da52c1a9…\`
    `);
    await box.ok(`remove --remote ${name}@${digest}`);
    expect((await box.kit(`pull ${name}:v2`)).status).toBe(3);
  });

  test.skipIf(!hasSkopeo)('skopeo copies from it and back to it', async () => {
    const { box, digest } = await packed();
    const registry = await startDockerRegistry();
    onTestFinished(() => registry.close());
    const name = `${registry.host}/team/tiny`;
    await box.ok(`push tiny:v1 ${name}:v1`);
    skopeo(box, 'copy', '--preserve-digests', '--src-tls-verify=false', `docker://${name}:v1`, 'oci:theirs:v1');
    skopeo(box, 'copy', '--preserve-digests', '--dest-tls-verify=false', 'oci:theirs:v1', `docker://${name}:back`);
    expect(JSON.parse(await box.ok(`inspect --remote ${name}:back`))).toHaveProperty('digest', digest);
    await box.ok(`unpack ${name}:back -d out`, { env: { KIT_HOME: box.path('elsewhere') } });
    await expectSameFiles(box, 'out');
  });
});
