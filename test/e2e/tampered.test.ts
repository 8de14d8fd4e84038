import { existsSync } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { Digest } from '../../src/oci/digest.ts';
import { runAll } from '../../src/targets/run-all.ts';
import { GOLDEN, type KitRun, type Sandbox, sandbox } from '../support/kit.ts';
import { startRegistry, type TestRegistry } from '../support/registry.ts';

interface Case {
  readonly artifact: string;
  readonly expect: 'accept' | 'reject' | 'limit';
}

const TAMPERED = join(GOLDEN, 'tampered');
const cases = JSON.parse(await readFile(join(TAMPERED, 'cases.json'), 'utf8')) as Record<string, Case>;
// signatures are for `kit verify`
const NAMES = Object.keys(cases).filter((name) => cases[name]?.artifact !== 'signature');

/** Where the golden README allows a reader to decide otherwise, and says how. */
const ACCEPTED: Readonly<Record<string, string>> = {
  // both files exist where the file system keeps case
  'tar-case-collision': 'accept',
  // without a limit it extracts
  'gzip-bomb': 'accept',
};

/** Unpacks each case into a/b/out of a folder of its own, and looks that nothing else changed. */
async function unpackAll(box: Sandbox, names: readonly string[], reference: (name: string) => string): Promise<Record<string, string>> {
  const outcomes: Record<string, string> = {};
  await runAll(names, 3, undefined, async (name) => {
    await box.write({ [`${name}/a/b/outside.txt`]: 'outside\n' });
    const run = await box.kit(['unpack', reference(name), '-d', `${name}/a/b/out`]);
    outcomes[name] = firstLine(run);
    const accepted = (ACCEPTED[name] ?? cases[name]?.expect) === 'accept';
    expect(run.status, `${name}: ${run.stderr}`).toBe(accepted ? 0 : 6);
    expect(existsSync('/kit-golden-evil.txt')).toBe(false);
    expect(await readFile(box.path(name, 'a/b/outside.txt'), 'utf8'), name).toBe('outside\n');
    // a refused artifact leaves no file, no folder and no staging behind
    const outside = ['a/', 'a/b/', 'a/b/outside.txt'];
    const tree = await box.tree(name);
    expect(accepted ? tree.filter((path) => !path.startsWith('a/b/out/')) : tree, name).toEqual(outside);
  });
  return Object.fromEntries(names.map((name) => [name, outcomes[name] ?? '']));
}

function firstLine({ status, stderr }: KitRun): string {
  const line = stderr.split('\n')[0] ?? '';
  return `${status} ${line}`.replaceAll(/(sha256:[0-9a-f]{12})[0-9a-f]{52}/g, '$1…').replaceAll(TAMPERED, '<TAMPERED>').trim();
}

test('every tampered artifact, from its layout', async () => {
  const box = await sandbox();
  expect(await unpackAll(box, NAMES, (name) => `oci:${join(TAMPERED, name)}:v1`)).toMatchInlineSnapshot();
});

test('every tampered artifact, served by a registry', async () => {
  // a registry serves a manifest without the descriptor that lies about it
  const references = await serve(NAMES.filter((name) => name !== 'size-manifest-lies'));
  const box = await sandbox();
  expect(await unpackAll(box, Object.keys(references), (name) => references[name] ?? '')).toMatchInlineSnapshot();
});

test('pull of what is damaged stores nothing under a final name', async () => {
  const references = await serve(NAMES.filter((name) => name.startsWith('blob-') || name.startsWith('size-layer')));
  const box = await sandbox();
  for (const reference of Object.values(references)) {
    const run = await box.kit(`pull ${reference}`);
    expect(run.status, `${reference}: ${run.stderr}`).toBe(6);
  }
  expect(await box.ok('list --format json')).toBe('[]\n');
});

test('accepted cases have what they should', async () => {
  const box = await sandbox();
  const unpack = async (name: string) => await box.ok(['unpack', `oci:${join(TAMPERED, name)}:v1`, '-d', name]);
  await unpack('00-clean-gzip');
  expect(await readFile(box.path('00-clean-gzip/w/model.bin'), 'utf8')).toBe('good model bytes\n');
  await unpack('filepath-clean');
  expect(await box.tree('filepath-clean')).toEqual(['Kitfile', 'w/', 'w/model.bin']);
  await unpack('tar-setuid');
  const { mode } = await stat(box.path('tar-setuid/w/tool'));
  expect((mode & 0o7777).toString(8)).toBe('755');
  expect(await box.kit(['unpack', `oci:${join(TAMPERED, 'tar-case-collision')}:v1`, '-d', 'tar-case-collision'])).toMatchInlineSnapshot(`
    exit 0
    --- stdout
    Unpacking to <TMP>/tar-case-collision
    Unpacking config to <TMP>/tar-case-collision/Kitfile
    Unpacking model m to w
    --- stderr
    warning: w/model.bin and w/MODEL.BIN differ only in case: one hides the other on some systems
  `);
  expect(await box.tree('tar-case-collision')).toEqual(expect.arrayContaining(['w/MODEL.BIN', 'w/model.bin']));
});

test('a limit stops a compression bomb', async () => {
  const box = await sandbox();
  expect(await box.kit(['unpack', `oci:${join(TAMPERED, 'gzip-bomb')}:v1`, '-d', 'out', '--max-size', '5MB'])).toMatchInlineSnapshot(`
    exit 6
    --- stderr
    error: sha256:f0174a3ac04b…: the layer unpacks to more than the limit allows

    hint: nothing was written; raise \`--max-size\` if you trust the artifact
  `);
  expect(existsSync(box.path('out'))).toBe(false);
});

/** A registry for each, since they hold different bytes under one digest: references by case. */
async function serve(names: readonly string[]): Promise<Record<string, string>> {
  const references: Record<string, string> = {};
  for (const name of names) {
    const registry = await startRegistry();
    onTestFinished(() => registry.close());
    await serveLayout(registry, name);
    references[name] = `${registry.host}/${name}:v1`;
  }
  return references;
}

/** Puts a layout into the registry as it is: blobs under the names of their files, whatever they hold. */
async function serveLayout(registry: TestRegistry, name: string): Promise<void> {
  const repository = registry.storage.repository(name);
  const index = JSON.parse(await readFile(join(TAMPERED, name, 'index.json'), 'utf8')) as {
    manifests: { digest: Digest; mediaType: string }[];
  };
  for (const hex of await readdir(join(TAMPERED, name, 'blobs/sha256'))) {
    const digest: Digest = `sha256:${hex}`;
    const bytes = await readFile(join(TAMPERED, name, 'blobs/sha256', hex));
    const manifest = index.manifests.find((one) => one.digest === digest);
    if (manifest === undefined) {
      await registry.storage.replaceBlob(digest, bytes);
      repository.blobs.add(digest);
    } else {
      repository.manifests.set(digest, { mediaType: manifest.mediaType, bytes });
      repository.tags.set('v1', digest);
    }
  }
}
