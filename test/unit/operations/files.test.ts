import { chmodSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parseLocation } from '../../../src/oci/reference.ts';
import { cat } from '../../../src/operations/inspect/cat.ts';
import { files, type FilesResult } from '../../../src/operations/inspect/files.ts';
import { pack } from '../../../src/operations/pack/pack.ts';
import { archive } from '../blobs/archive.ts';
import { blobTraffic, openRegistry, publish, publishImage } from './remote-artifact.ts';
import { workspace } from './sandbox.ts';

const MIB = 1024 * 1024;
const KITFILE = 'manifestVersion: 1.0.0\nmodel:\n  name: m\n  path: weights\ndocs:\n  - path: README.md\n';
const FILES = {
  Kitfile: KITFILE,
  'weights/a.safetensors': Buffer.alloc(4 * MIB, 'a'),
  'weights/config.json': '{}',
  'weights/z.safetensors': Buffer.alloc(3 * MIB, 'z'),
  'README.md': 'read me',
};

const shown = ({ files: list }: FilesResult): string[] => list.map(({ path, type, size }) => `${path} ${type} ${size}`);

test('a large tar layer costs a few ranges, a small one is read and checked', async () => {
  const registry = await openRegistry();
  const source = await publish(registry, 'm:v1', FILES);
  const space = workspace();
  const result = await files(space.kit, { source });
  expect(shown(result)).toEqual([
    'weights directory 0',
    `weights/a.safetensors file ${4 * MIB}`,
    'weights/config.json file 2',
    `weights/z.safetensors file ${3 * MIB}`,
    'README.md file 7',
  ]);
  expect(result.layers).toMatchObject([
    { role: 'model', name: 'm', path: 'weights', checked: 'nothing' },
    { role: 'docs', path: 'README.md', checked: 'layer', read: 2048 },
  ]);
  const traffic = blobTraffic(registry);
  // headers of a; of config.json and z; the end of the archive. The config blob and the small layer are read whole
  expect(traffic).toMatchObject({ ranges: 3, whole: 2 });
  expect(traffic.bytes).toBeLessThan(200 * 1024);
  expect(result.layers[0]?.read).toBe(traffic.bytes);
  expect(registry.requests.filter(({ path }) => path !== '/v2/').map(({ method }) => method)).toHaveLength(7);
});

test('files that are layers are listed from the manifest, with their digests', async () => {
  const registry = await openRegistry();
  const source = await publish(registry, 'm:v1', { ...FILES, 'run.sh': '' }, { format: 'modelpack' });
  const result = await files(workspace().kit, { source, patterns: ['weights/'] });
  expect(result.files).toHaveLength(3);
  for (const { digest, layer } of result.files) expect(digest).toBe(layer);
  expect(result.layers.map(({ checked, read }) => [checked, read])).toEqual(result.layers.map(() => ['manifest', 0]));
  // the config
  expect(blobTraffic(registry)).toEqual({ ranges: 0, bytes: 0, whole: 1 });
});

test('what stays elsewhere is listed as far as it was recorded, and is not read unasked', async () => {
  const registry = await openRegistry();
  const remote = { remotePath: 's3://bucket/far', remoteHash: 'abc' };
  const datasets = [
    { name: 'far', path: 'far', ...remote },
    { name: 'all', path: 'all', remotePath: 's3://bucket/all/', remoteHash: 'abc' },
  ];
  const kitfile = { manifestVersion: '1.0.0', docs: [{ path: 'README.md' }], datasets };
  const source = await publish(registry, 'm:v1', { Kitfile: JSON.stringify(kitfile), 'README.md': '' }, { verifyRemote: false });
  const space = workspace();
  const listed = await files(space.kit, { source }, space.call);
  expect(
    listed.files.map(({ path, type, size, digest, layer, remote: at }) => [path, type, size, digest, layer !== undefined, at]),
  ).toEqual([
    ['README.md', 'file', 0, undefined, true, undefined],
    ['far', 'file', undefined, undefined, false, 's3://bucket/far'],
    ['all', 'directory', undefined, undefined, false, 's3://bucket/all/'],
  ]);
  expect((await files(space.kit, { source, patterns: ['far'] })).files).toHaveLength(1);
  const found = cat(space.kit, { source, path: 'far' }, async () => await Promise.resolve());
  await expect(found).rejects.toMatchObject({ code: 'PATH_NOT_FOUND', hint: '`--include-remote` reads it there' });
});

test('patterns leave layers unread that cannot match', async () => {
  const registry = await openRegistry();
  const source = await publish(registry, 'm:v1', FILES);
  const result = await files(workspace().kit, { source, patterns: ['./README.md'] });
  expect(shown(result)).toEqual(['README.md file 7']);
  expect(blobTraffic(registry)).toMatchObject({ ranges: 0, whole: 2 });
  await expect(files(workspace().kit, { source, patterns: ['nothing*'] })).rejects.toMatchObject({ code: 'FILTER_UNMATCHED' });
});

test('a compressed layer is read whole, which can be refused', async () => {
  const registry = await openRegistry();
  const source = await publish(registry, 'm:v1', FILES, { compression: 'gzip' });
  await expect(files(workspace().kit, { source, download: false })).rejects.toMatchObject({ code: 'UNSUPPORTED' });
  expect(blobTraffic(registry)).toMatchObject({ ranges: 0, whole: 1 });
  const result = await files(workspace().kit, { source, digests: true });
  expect(result.files).toHaveLength(5);
  expect(result.files.find(({ path }) => path === 'weights/config.json')?.digest).toBe(
    'sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a',
  );
  expect(result.layers.map(({ checked, read, size }) => [checked, read === size])).toEqual([
    ['layer', true],
    ['layer', true],
  ]);
});

test('a registry without ranges sends the layer once, or nothing', async () => {
  const registry = await openRegistry({ behaviour: { ranges: false } });
  const source = await publish(registry, 'm:v1', FILES);
  const space = workspace();
  const result = await files(space.kit, { source }, space.call);
  expect(result.files).toHaveLength(5);
  expect(result.layers[0]).toMatchObject({ checked: 'layer' });
  expect(space.events).toContainEqual(expect.objectContaining({ type: 'warning', code: 'NO_RANGES' }));
  registry.clear();
  await expect(files(workspace().kit, { source, download: false })).rejects.toMatchObject({ code: 'UNSUPPORTED' });
});

test('a large layer of a registry that lies is found out where it ends, not where it was changed', async () => {
  const registry = await openRegistry();
  const source = await publish(registry, 'm:v1', FILES);
  const { layers } = await files(workspace().kit, { source });
  const digest = layers[0]?.digest ?? 'sha256:';
  await registry.storage.replaceBlob(digest, archive({ name: 'other', content: Buffer.alloc(2 * MIB) }));
  await expect(files(workspace().kit, { source })).rejects.toMatchObject({ code: 'REGISTRY_ERROR' });
  await registry.storage.replaceBlob(digest, Buffer.alloc(layers[0]?.size ?? 0, 'x'));
  await expect(files(workspace().kit, { source })).rejects.toMatchObject({ code: 'LAYER_INVALID' });
});

test('an image is listed layer by layer, with what a layer takes away', async () => {
  const registry = await openRegistry();
  const source = await publishImage(
    registry,
    'image',
    archive({ name: 'etc', type: '5', mode: 0o755 }, { name: 'etc/old' }, { name: 'bin/sh', mode: 0o4755 }),
    archive({ name: 'etc/.wh.old' }, { name: 'var/.wh..wh..opq' }, { name: 'lib', type: '2', link: 'usr/lib' }, { name: '../evil' }),
  );
  const result = await files(workspace().kit, { source });
  expect(result.files.map(({ path, type, mode, unsafe }) => [path, type, mode, unsafe])).toEqual([
    ['etc', 'directory', 0o755, undefined],
    ['etc/old', 'file', 0o644, undefined],
    ['bin/sh', 'file', 0o4755, undefined],
    ['etc/old', 'whiteout', 0o644, undefined],
    ['var', 'opaque', 0o644, undefined],
    ['lib', 'symbolic link', 0o644, undefined],
    ['../evil', 'file', 0o644, 'leaves the directory'],
  ]);
});

test('local storage is checked; a damaged blob is found out', async () => {
  const space = workspace();
  space.write(Object.fromEntries(Object.entries(FILES).map(([path, content]) => [`in/${path}`, content])));
  const source = parseLocation('m:v1');
  const { layers } = await pack(space.kit, { directory: space.path('in'), destination: source });
  const result = await files(space.kit, { source });
  expect(result.layers.map(({ checked }) => checked)).toEqual(['layer', 'layer']);
  expect(result.layers[0]?.read).toBeLessThan(200 * 1024);
  const blob = `home/storage/blobs/sha256/${layers[0]?.descriptor.digest.slice(7)}`;
  chmodSync(space.path(blob), 0o600);
  writeFileSync(space.path(blob), Buffer.alloc(result.layers[0]?.size ?? 0));
  await expect(files(space.kit, { source })).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
});

test('the model of a base ModelKit is listed too', async () => {
  const registry = await openRegistry();
  await publish(registry, 'base:v1', FILES);
  const source = await publish(registry, 'tuned:v1', {
    Kitfile: `manifestVersion: 1.0.0\nmodel:\n  path: ${registry.host}/base:v1\ndocs:\n  - path: own.md\n`,
    'own.md': 'x',
  });
  const result = await files(workspace().kit, { source });
  expect(shown(result).map((line) => line.split(' ')[0])).toEqual([
    'weights',
    'weights/a.safetensors',
    'weights/config.json',
    'weights/z.safetensors',
    'own.md',
  ]);
  expect(result.bases).toEqual([`${registry.host}/base:v1`]);
});
