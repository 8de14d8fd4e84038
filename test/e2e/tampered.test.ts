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
  return `${status} ${line}`
    .replaceAll(/(sha256:[0-9a-f]{12})[0-9a-f]{52}/g, '$1…')
    .replaceAll(TAMPERED, '<TAMPERED>')
    .trim();
}

test('every tampered artifact, from its layout', async () => {
  const box = await sandbox();
  expect(await unpackAll(box, NAMES, (name) => `oci:${join(TAMPERED, name)}:v1`)).toMatchInlineSnapshot(`
    {
      "00-clean": "0",
      "00-clean-gzip": "0",
      "blob-config-bitflip": "6 error: sha256:958fc4b1abce…: the content has digest sha256:93035eed861e…",
      "blob-layer-bitflip": "6 error: sha256:0a78102a42b9…: the content has digest sha256:da005a900b19…",
      "blob-layer-missing": "6 error: sha256:0a78102a42b9… is missing: there is no <TAMPERED>/blob-layer-missing/blobs/sha256/0a78102a42b91f4bb4c87dc6155dbbe0da6e2f933fb7e26aaf52964c34f1f8c6",
      "blob-layer-truncated": "6 error: sha256:0a78102a42b9…: <TAMPERED>/blob-layer-truncated/blobs/sha256/0a78102a42b91f4bb4c87dc6155dbbe0da6e2f933fb7e26aaf52964c34f1f8c6 has 1032 bytes where its descriptor says 2560",
      "blob-manifest-bitflip": "6 error: sha256:8633ac7e270d…: the content has digest sha256:54f043151ab6…",
      "config-diffid-mismatch": "6 error: sha256:79cf9e8340b2…: the config gives the diffId sha256:f41f3fa625ff…, but the uncompressed layer has sha256:0a78102a42b9…",
      "config-digest-mismatch": "6 error: oci:<TAMPERED>/config-digest-mismatch:v1: the manifest's model layer is sha256:0a78102a42b9…, but the config says sha256:f41f3fa625ff…",
      "filepath-absolute": "6 error: layer sha256:886b67480dbe…: path "/kit-golden-evil.txt" is absolute",
      "filepath-clean": "0",
      "filepath-dotdot": "6 error: layer sha256:886b67480dbe…: path "../evil.txt" leaves the directory",
      "filepath-duplicate": "6 error: w/model.bin is in the layers sha256:bcac89c1e53c… and sha256:886b67480dbe…",
      "gzip-bomb": "0",
      "gzip-mislabelled": "6 error: sha256:79cf9e8340b2…: the layer holds gzip data, but its media type says uncompressed tar",
      "gzip-truncated": "6 error: sha256:d40a8a87e3fa…: the layer ends before its check sum",
      "oras-argo-mislabelled": "6 error: sha256:dbe3c51da3c7…: the layer holds gzip data, but its media type says uncompressed tar",
      "size-layer-lies-huge": "6 error: sha256:0a78102a42b9…: <TAMPERED>/size-layer-lies-huge/blobs/sha256/0a78102a42b91f4bb4c87dc6155dbbe0da6e2f933fb7e26aaf52964c34f1f8c6 has 2560 bytes where its descriptor says 10737418240",
      "size-layer-lies-small": "6 error: sha256:0a78102a42b9…: <TAMPERED>/size-layer-lies-small/blobs/sha256/0a78102a42b91f4bb4c87dc6155dbbe0da6e2f933fb7e26aaf52964c34f1f8c6 has 2560 bytes where its descriptor says 1536",
      "size-manifest-lies": "6 error: sha256:8633ac7e270d…: <TAMPERED>/size-manifest-lies/blobs/sha256/8633ac7e270deb06af6247f20d9a9918515688492352a6833e0d55a625ba202f has 410 bytes where its descriptor says 409",
      "tar-absolute": "6 error: sha256:2ae5325a4e5e…: path "/kit-golden-evil.txt" is absolute",
      "tar-backslash": "6 error: sha256:5d4637421af7…: path "w\\\\..\\\\..\\\\evil.txt" holds a backslash, which separates directories on some systems",
      "tar-bad-checksum": "6 error: sha256:3bfb8fbf361a…: the tar header at byte 512 has a wrong check sum",
      "tar-case-collision": "0 warning: w/model.bin and w/MODEL.BIN differ only in case: one hides the other on some systems",
      "tar-device": "6 error: sha256:72f8665207dd…: "w/null" is a character device, which is never extracted",
      "tar-dotdot": "6 error: sha256:543de2b17f10…: path "../evil.txt" leaves the directory",
      "tar-dotdot-inside": "6 error: sha256:180cac94725a…: path "w/../../evil.txt" leaves the directory",
      "tar-duplicate-name": "6 error: w/model.bin is twice in layer sha256:e516fdd7c058…",
      "tar-file-as-dir": "6 error: w/model.bin is a file and then a directory in layer sha256:f2db64ab8c14…",
      "tar-hardlink-outside": "6 error: sha256:5962a66d6e31…: "w/link.txt" is a hard link, which is never extracted",
      "tar-pax-path": "6 error: sha256:bab98f1d09ea…: path "../evil.txt" leaves the directory",
      "tar-setuid": "0",
      "tar-symlink-dir": "6 error: sha256:2e0be4788df3…: "w/out" is a symbolic link, which is never extracted",
      "tar-symlink-file": "6 error: sha256:fb266ca742b1…: "w/model.bin" is a symbolic link, which is never extracted",
      "tar-truncated": "6 error: sha256:c26b189e5c1f…: the tar archive ends 1048562 bytes before the end of an entry",
      "title-dotdot": "6 error: layer sha256:886b67480dbe…: path "../evil.txt" leaves the directory",
    }
  `);
});

test('every tampered artifact, served by a registry', async () => {
  // a registry serves a manifest without the descriptor that lies about it
  const references = await serve(NAMES.filter((name) => name !== 'size-manifest-lies'));
  const box = await sandbox();
  expect(await unpackAll(box, Object.keys(references), (name) => references[name] ?? '')).toMatchInlineSnapshot(`
    {
      "00-clean": "0",
      "00-clean-gzip": "0",
      "blob-config-bitflip": "6 error: sha256:958fc4b1abce…: the content has digest sha256:93035eed861e…",
      "blob-layer-bitflip": "6 error: sha256:0a78102a42b9…: the content has digest sha256:da005a900b19…",
      "blob-layer-missing": "6 error: 127.0.0.1:55555/blob-layer-missing@sha256:0a78102a42b9…: not found in the registry (GET http://127.0.0.1:55555/v2/blob-layer-missing/blobs/sha256:0a78102a42b9…: 404 BLOB_UNKNOWN: blob unknown to registry)",
      "blob-layer-truncated": "6 error: 127.0.0.1:55555/blob-layer-truncated@sha256:0a78102a42b9…: the registry has 1032 bytes, the manifest says 2560",
      "blob-manifest-bitflip": "6 error: 127.0.0.1:55555/blob-manifest-bitflip@sha256:8633ac7e270d…: the registry answers with manifest sha256:54f043151ab6…",
      "config-diffid-mismatch": "6 error: sha256:79cf9e8340b2…: the config gives the diffId sha256:f41f3fa625ff…, but the uncompressed layer has sha256:0a78102a42b9…",
      "config-digest-mismatch": "6 error: 127.0.0.1:55555/config-digest-mismatch:v1: the manifest's model layer is sha256:0a78102a42b9…, but the config says sha256:f41f3fa625ff…",
      "filepath-absolute": "6 error: layer sha256:886b67480dbe…: path "/kit-golden-evil.txt" is absolute",
      "filepath-clean": "0",
      "filepath-dotdot": "6 error: layer sha256:886b67480dbe…: path "../evil.txt" leaves the directory",
      "filepath-duplicate": "6 error: w/model.bin is in the layers sha256:bcac89c1e53c… and sha256:886b67480dbe…",
      "gzip-bomb": "0",
      "gzip-mislabelled": "6 error: sha256:79cf9e8340b2…: the layer holds gzip data, but its media type says uncompressed tar",
      "gzip-truncated": "6 error: sha256:d40a8a87e3fa…: the layer ends before its check sum",
      "oras-argo-mislabelled": "6 error: sha256:dbe3c51da3c7…: the layer holds gzip data, but its media type says uncompressed tar",
      "size-layer-lies-huge": "6 error: 127.0.0.1:55555/size-layer-lies-huge@sha256:0a78102a42b9…: the registry has 2560 bytes, the manifest says 10737418240",
      "size-layer-lies-small": "6 error: 127.0.0.1:55555/size-layer-lies-small@sha256:0a78102a42b9…: the registry has 2560 bytes, the manifest says 1536",
      "tar-absolute": "6 error: sha256:2ae5325a4e5e…: path "/kit-golden-evil.txt" is absolute",
      "tar-backslash": "6 error: sha256:5d4637421af7…: path "w\\\\..\\\\..\\\\evil.txt" holds a backslash, which separates directories on some systems",
      "tar-bad-checksum": "6 error: sha256:3bfb8fbf361a…: the tar header at byte 512 has a wrong check sum",
      "tar-case-collision": "0 warning: w/model.bin and w/MODEL.BIN differ only in case: one hides the other on some systems",
      "tar-device": "6 error: sha256:72f8665207dd…: "w/null" is a character device, which is never extracted",
      "tar-dotdot": "6 error: sha256:543de2b17f10…: path "../evil.txt" leaves the directory",
      "tar-dotdot-inside": "6 error: sha256:180cac94725a…: path "w/../../evil.txt" leaves the directory",
      "tar-duplicate-name": "6 error: w/model.bin is twice in layer sha256:e516fdd7c058…",
      "tar-file-as-dir": "6 error: w/model.bin is a file and then a directory in layer sha256:f2db64ab8c14…",
      "tar-hardlink-outside": "6 error: sha256:5962a66d6e31…: "w/link.txt" is a hard link, which is never extracted",
      "tar-pax-path": "6 error: sha256:bab98f1d09ea…: path "../evil.txt" leaves the directory",
      "tar-setuid": "0",
      "tar-symlink-dir": "6 error: sha256:2e0be4788df3…: "w/out" is a symbolic link, which is never extracted",
      "tar-symlink-file": "6 error: sha256:fb266ca742b1…: "w/model.bin" is a symbolic link, which is never extracted",
      "tar-truncated": "6 error: sha256:c26b189e5c1f…: the tar archive ends 1048562 bytes before the end of an entry",
      "title-dotdot": "6 error: layer sha256:886b67480dbe…: path "../evil.txt" leaves the directory",
    }
  `);
});

test('pull of what is damaged stores nothing under a final name', async () => {
  const references = await serve(NAMES.filter((name) => name.startsWith('blob-') || name.startsWith('size-layer')));
  const box = await sandbox();
  for (const reference of Object.values(references)) {
    // a storage for each: a sound blob that one brought would serve the next
    const env = { KIT_HOME: box.path(reference.replace(/.*\//, '')) };
    const run = await box.kit(`pull ${reference}`, { env });
    expect(run.status, `${reference}: ${run.stderr}`).toBe(6);
    expect(await box.ok('list --format json', { env })).toBe('[]\n');
  }
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
