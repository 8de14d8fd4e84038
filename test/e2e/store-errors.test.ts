import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Sandbox, sandbox } from '../support/kit.ts';
import { startRegistry, type TestRegistry } from '../support/registry.ts';

let registry: TestRegistry;
beforeAll(async () => {
  registry = await startRegistry();
});
afterAll(() => registry.close());

async function packed(): Promise<Sandbox> {
  const box = await sandbox();
  await box.write({ 'in/Kitfile': 'manifestVersion: 1.0.0\nmodel: {path: m}\n', 'in/m': 'weights\n' });
  await box.ok('pack in -t mine:v1');
  return box;
}

/** Changes a byte of the only layer. */
async function damageLayer(box: Sandbox): Promise<void> {
  const { manifest } = JSON.parse(await box.ok('inspect mine:v1')) as { manifest: { layers: { digest: string }[] } };
  const path = box.path('home/storage/blobs/sha256', manifest.layers[0]?.digest.slice('sha256:'.length) ?? '');
  const bytes = await readFile(path);
  bytes.write('W', bytes.indexOf('weights'));
  await rm(path);
  await writeFile(path, bytes);
}

test('a damaged blob is never used: unpack and push fail, pack repairs', async () => {
  const box = await packed();
  await damageLayer(box);
  expect(await box.kit('unpack mine:v1 -d out')).toMatchInlineSnapshot(`
    exit 6
    --- stderr
    error: sha256:e12c5223d1f6…: the content has digest sha256:0b9c7401804e…

    hint: the content was changed or damaged; fetch it again from a source that you trust
  `);
  expect(await box.tree('.').then((tree) => tree.filter((path) => path.startsWith('out')))).toEqual([]);
  expect(await box.kit(`push mine:v1 ${registry.host}/mine:v1 --concurrency 1`)).toMatchInlineSnapshot(`
    exit 6
    --- stderr
    error: mine:v1 is damaged: 127.0.0.1:55555/mine@sha256:e12c5223d1f6…: the registry received content that does not have the digest (PUT http://127.0.0.1:55555/v2/mine/blobs/uploads/upload-2?state=...&digest=...: 400 DIGEST_INVALID: provided digest did not match uploaded content)

    hint: pack it again, or pull it from a registry that has it: that repairs what is stored
  `);
  expect(registry.storage.find('mine')?.tags.get('v1')).toBeUndefined();
  expect(await box.kit('pack in -t mine:v1')).toMatchInlineSnapshot(`
    exit 0
    --- stdout
    Saved model layer: sha256:e12c5223d1f6…
    Configuration already exists in storage: sha256:1c1a19d09eb5…
    Manifest already exists in storage: sha256:71fbdb99a34e…
    Model saved: sha256:71fbdb99a34e…
    --- stderr
    warning: <TMP>/home/storage/blobs/sha256/e12c5223d1f6195c9c5b5390fcaf568e4927ff75fb56ca66118e6e852deacf43 does not have the content that its name promises; it was moved to <TMP>/home/storage/ingest/sha256-e12c5223d1f6195c9c5b5390fcaf568e4927ff75fb56ca66118e6e852deacf43.damaged
  `);
  await box.ok('unpack mine:v1 -d out');
  expect(await readFile(box.path('out/m'), 'utf8')).toBe('weights\n');
});

test('a damaged blob is repaired by a pull', async () => {
  const box = await packed();
  await box.ok(`push mine:v1 ${registry.host}/repair:v1`);
  await damageLayer(box);
  await box.ok(`pull ${registry.host}/repair:v1`);
  await box.ok('unpack mine:v1 -d out');
  expect(await readFile(box.path('out/m'), 'utf8')).toBe('weights\n');
});

test('an index that is no JSON, or of another shape', async () => {
  const box = await packed();
  const index = box.path('home/storage/index.json');
  await writeFile(index, '{"schemaVersion":2,');
  expect(await box.kit('list')).toMatchInlineSnapshot(`
    exit 1
    --- stderr
    error: <TMP>/home/storage/index.json: the index is not JSON

    hint: \`kit store check --repair\` rebuilds it from what is stored (of a layout: \`kit store check oci:DIR --repair\`)
  `);
  expect((await box.kit('pack in -t mine:v2')).status).toBe(1);
  // what could not be read is not replaced
  expect(await readFile(index, 'utf8')).toBe('{"schemaVersion":2,');
  await writeFile(index, '[]');
  expect(await box.kit('list')).toMatchInlineSnapshot(`
    exit 1
    --- stderr
    error: <TMP>/home/storage/index.json: index: expected an object, received a list

    hint: \`kit store check --repair\` rebuilds it from what is stored (of a layout: \`kit store check oci:DIR --repair\`)
  `);
});

test('a storage of a version that is not known', async () => {
  const box = await packed();
  await writeFile(box.path('home/storage/oci-layout'), '{"imageLayoutVersion":"2.0.0"}');
  expect(await box.kit('list')).toMatchInlineSnapshot(`
    exit 1
    --- stderr
    error: <TMP>/home/storage/oci-layout: image layout version \`2.0.0\` is unknown

    hint: an image layout has \`{"imageLayoutVersion":"1.0.0"}\` there
  `);
});

test('a home that is a file, and a folder that is no layout', async () => {
  const box = await packed();
  await box.write({ file: 'x', 'folder/x': 'x' });
  expect(await box.kit('list --config file')).toMatchInlineSnapshot(`
    exit 1
    --- stderr
    error: <TMP>/file is not a directory, so it cannot hold local storage

    hint: name another folder with \`--config\` or $KIT_HOME
  `);
  expect(await box.kit('pack in -t mine:v1 --config file')).toMatchInlineSnapshot(`
    exit 1
    --- stderr
    error: <TMP>/file is not a directory, so it cannot hold local storage

    hint: name another folder with \`--config\` or $KIT_HOME
  `);
  expect(await box.kit('unpack oci:folder:v1')).toMatchInlineSnapshot(`
    exit 1
    --- stderr
    error: folder is not an OCI image layout: it has no oci-layout file

    hint: check the path after \`oci:\`
  `);
  expect(await box.kit('unpack oci-archive:file:v1')).toMatchInlineSnapshot(`
    exit 1
    --- stderr
    error: file: it is not a tar archive

    hint: check that the file was copied whole
  `);
});

test('a manifest that is missing is a warning for list and an error for the rest', async () => {
  const box = await packed();
  await box.write({ 'in/m': 'other\n' });
  await box.ok('pack in -t other:v1');
  const [{ digest } = { digest: '' }] = JSON.parse(await box.ok('list --format json')) as { digest: string }[];
  await rm(box.path('home/storage/blobs/sha256', digest.slice('sha256:'.length)));
  expect(await box.kit('list')).toMatchInlineSnapshot(`
    exit 0
    --- stdout
    REPOSITORY   TAG   MAINTAINER   NAME     SIZE      DIGEST
    other        v1    <none>       <none>   2.0 KiB   sha256:739be0664b1f…
    --- stderr
    warning: mine:v1 (sha256:71fbdb99a34e…) is left out: sha256:71fbdb99a34e… is missing: there is no <TMP>/home/storage/blobs/sha256/71fbdb99a34e0c998f7af5f4af2725904c49536c8cc5025b131df3c6389e17f2
  `);
  expect(await box.kit('inspect mine:v1')).toMatchInlineSnapshot(`
    exit 6
    --- stderr
    error: sha256:71fbdb99a34e… is missing: there is no <TMP>/home/storage/blobs/sha256/71fbdb99a34e0c998f7af5f4af2725904c49536c8cc5025b131df3c6389e17f2

    hint: pull or copy the artifact again to repair it
  `);
  expect(await box.kit('remove mine:v1')).toMatchInlineSnapshot(`
    exit 0
    --- stdout
    Removed mine:v1 (digest sha256:71fbdb99a34e…)
  `);
  expect(await readdir(box.path('home/storage/blobs/sha256'))).toHaveLength(3);
});
