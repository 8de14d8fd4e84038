import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { digestOf } from '../../../src/oci/digest.ts';
import type { Location } from '../../../src/oci/reference.ts';
import { parseFilter } from '../../../src/operations/artifact/filter.ts';
import { unpack, type UnpackArguments, type UnpackResult } from '../../../src/operations/unpack/unpack.ts';
import { archive } from '../blobs/archive.ts';
import { blobTraffic, openRegistry, publish, publishImage } from './remote-artifact.ts';
import { type Workspace, workspace } from './sandbox.ts';

const MIB = 1024 * 1024;
const WEIGHTS = Buffer.alloc(6 * MIB, 'weights');
const FILES = {
  Kitfile: 'manifestVersion: 1.0.0\nmodel:\n  name: m\n  path: weights\ndocs:\n  - path: README.md\n',
  'weights/a.safetensors': WEIGHTS,
  'weights/tokenizer.json': '{"t":1}',
  'weights/tokenizer_config.json': '{}',
  'weights/z.bin': Buffer.alloc(2 * MIB, 'z'),
  'README.md': 'read me',
};

async function take(
  space: Workspace,
  source: Location,
  filters: readonly string[],
  args: Partial<UnpackArguments> = {},
): Promise<UnpackResult> {
  return await unpack(space.kit, { source, directory: space.path('out'), filters: filters.map(parseFilter), ...args }, space.call);
}

const list = (space: Workspace): string[] => readdirSync(space.path('out'), { recursive: true, encoding: 'utf8' }).toSorted();

describe('single files of a large tar layer', () => {
  test('come by a few ranges, and those that no digest covers are named', async () => {
    const registry = await openRegistry();
    const source = await publish(registry, 'm:v1', FILES);
    const space = workspace();
    const result = await take(space, source, ['path:tokenizer*']);
    expect(list(space)).toEqual(['weights', 'weights/tokenizer.json', 'weights/tokenizer_config.json']);
    expect(readFileSync(space.path('out/weights/tokenizer.json'), 'utf8')).toBe('{"t":1}');
    expect(result).toMatchObject({ fileCount: 2, unverified: ['weights/tokenizer.json', 'weights/tokenizer_config.json'] });
    expect(result.kitfile).toBeUndefined();
    expect(result.layers).toMatchObject([{ role: 'model', files: ['weights/tokenizer.json', 'weights/tokenizer_config.json'] }]);
    const traffic = blobTraffic(registry);
    expect(traffic).toMatchObject({ ranges: 3, whole: 2 });
    expect(traffic.bytes).toBeLessThan(200 * 1024);
  });

  test('cost one range where they are large', async () => {
    const registry = await openRegistry();
    const source = await publish(registry, 'm:v1', FILES);
    const space = workspace();
    await take(space, source, ['path:weights/*.safetensors']);
    expect(readFileSync(space.path('out/weights/a.safetensors')).equals(WEIGHTS)).toBe(true);
    const traffic = blobTraffic(registry);
    expect(traffic.ranges).toBe(3);
    expect(traffic.bytes).toBeLessThan(WEIGHTS.byteLength + 300 * 1024);
  });

  test.each([
    ['whole layers are asked for', { wholeLayers: true }],
    ['only what is signed is admitted', { admit: async () => await Promise.resolve() }],
  ])('are checked with their layer where %s', async (_why, args) => {
    const registry = await openRegistry();
    const source = await publish(registry, 'm:v1', FILES);
    const space = workspace();
    const result = await take(space, source, ['path:z.bin'], args);
    expect(result.unverified).toBeUndefined();
    expect(blobTraffic(registry)).toMatchObject({ ranges: 0 });
    const { digest } = result.layers[0] ?? { digest: 'sha256:' as const };
    const bad = Buffer.alloc(await registry.storage.size(digest));
    let at = 0;
    for await (const chunk of registry.storage.read(digest, 0, bad.byteLength)) at += Buffer.from(chunk).copy(bad, at);
    bad[5000] = 1;
    await registry.storage.replaceBlob(digest, bad);
    const other = workspace();
    await expect(take(other, source, ['path:z.bin'], args)).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
    expect(existsSync(other.path('out'))).toBe(false);
  });

  test('are checked where something else gives their digest', async () => {
    const registry = await openRegistry();
    const source = await publish(registry, 'm:v1', FILES);
    const digests = new Map([
      ['weights/tokenizer.json', digestOf(Buffer.from('{"t":1}'))],
      ['weights/a.safetensors', digestOf(WEIGHTS)],
      ['weights/z.bin', digestOf(Buffer.from('another'))],
    ]);
    const digestOfPath = (path: string) => digests.get(path);
    const space = workspace();
    const result = await take(space, source, ['path:tokenizer*,*.safetensors'], { digestOf: digestOfPath });
    expect(result.unverified).toEqual(['weights/tokenizer_config.json']);
    expect(statSync(space.path('out/weights/a.safetensors')).size).toBe(WEIGHTS.byteLength);
    const other = workspace();
    await expect(take(other, source, ['path:*.bin'], { digestOf: digestOfPath })).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
    expect(existsSync(other.path('out'))).toBe(false);
  });

  test('are staged: a filter without a match, a file in the way or too many bytes leave nothing behind', async () => {
    const registry = await openRegistry();
    const source = await publish(registry, 'm:v1', FILES);
    const space = workspace();
    await expect(take(space, source, ['path:z.bin', 'path:nothing'])).rejects.toMatchObject({ code: 'FILTER_UNMATCHED' });
    await expect(take(space, source, ['path:z.bin'], { maxBytes: MIB })).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' });
    expect(existsSync(space.path('out'))).toBe(false);
    space.write({ 'out/weights/z.bin': 'mine' });
    await expect(take(space, source, ['path:z.bin,README.md'])).rejects.toMatchObject({ code: 'PATH_EXISTS' });
    expect(list(space)).toEqual(['weights', 'weights/z.bin']);
    // what is kept was not written, so nothing is to be said of it
    const kept = await take(space, source, ['path:z.bin,README.md'], { conflict: 'keep' });
    expect(kept).toMatchObject({ fileCount: 1 });
    expect(kept.unverified).toBeUndefined();
    expect(readFileSync(space.path('out/weights/z.bin'), 'utf8')).toBe('mine');
  });
});

test('a path in a layer that is unpacked whole counts as found', async () => {
  const registry = await openRegistry();
  const source = await publish(registry, 'm:v1', FILES);
  const space = workspace();
  const result = await take(space, source, ['docs', 'path:README.md', 'path:z.bin']);
  expect(list(space)).toEqual(['README.md', 'weights', 'weights/z.bin']);
  expect(result.layers.map(({ role, files }) => [role, files])).toEqual([
    ['model', ['weights/z.bin']],
    ['docs', undefined],
  ]);
});

test('files that are layers are checked by themselves', async () => {
  const registry = await openRegistry();
  const source = await publish(registry, 'm:v1', FILES, { format: 'modelpack' });
  const space = workspace();
  const result = await take(space, source, ['path:tokenizer*']);
  expect(result).toMatchObject({ fileCount: 2 });
  expect(result.unverified).toBeUndefined();
  expect(blobTraffic(registry)).toEqual({ ranges: 0, bytes: 0, whole: 3 });
});

test('a compressed layer is read whole, and counts for nothing but what is taken', async () => {
  const registry = await openRegistry();
  const source = await publish(registry, 'm:v1', FILES, { compression: 'zstd' });
  const space = workspace();
  const result = await take(space, source, ['path:tokenizer.json'], { maxBytes: 100 });
  expect(list(space)).toEqual(['weights', 'weights/tokenizer.json']);
  expect(result.unverified).toBeUndefined();
});

describe('of layers that nobody should trust', () => {
  const padding = { name: 'padding', content: Buffer.alloc(2 * MIB) };

  test.each([
    ['a path out of the directory', 'UNSAFE_PATH', { name: '../evil', content: 'x' }],
    ['the file twice', 'UNSAFE_ENTRY', { name: 'wanted', content: 'other' }],
    ['the file as a folder', 'UNSAFE_ENTRY', { name: 'wanted/below', content: 'x' }],
    ['a link where the file is to be', 'UNSAFE_ENTRY', { name: 'wanted', type: '2', link: '/etc/passwd' }],
  ])('%s is refused', async (_what, code, entry) => {
    const registry = await openRegistry();
    const source = await publishImage(registry, 'image', archive({ name: 'wanted', content: 'x' }, padding, entry));
    const space = workspace();
    await expect(take(space, source, ['path:wanted'])).rejects.toMatchObject({ code });
    expect(existsSync(space.path('out'))).toBe(false);
  });

  test('a link elsewhere in the archive is in nobody’s way', async () => {
    const registry = await openRegistry();
    const layer = archive({ name: 'lib', type: '2', link: '/etc' }, padding, { name: 'wanted', content: 'x' }, { name: 'dev', type: '3' });
    const source = await publishImage(registry, 'image', layer);
    const space = workspace();
    await take(space, source, ['path:wanted']);
    expect(list(space)).toEqual(['wanted']);
  });

  test('a file in two layers is refused', async () => {
    const registry = await openRegistry();
    const source = await publishImage(
      registry,
      'image',
      archive({ name: 'wanted', content: 'x' }, padding),
      archive({ name: 'wanted', content: 'y' }),
    );
    await expect(take(workspace(), source, ['path:wanted'])).rejects.toMatchObject({ code: 'UNSAFE_ENTRY' });
  });

  test('a registry without ranges sends all of it, which is checked', async () => {
    const registry = await openRegistry({ behaviour: { ranges: false } });
    const source = await publish(registry, 'm:v1', FILES);
    const space = workspace();
    const result = await take(space, source, ['path:z.bin']);
    expect(result.unverified).toBeUndefined();
    expect(space.events).toContainEqual(expect.objectContaining({ type: 'warning', code: 'NO_RANGES' }));
    expect(list(space)).toEqual(['weights', 'weights/z.bin']);
  });
});
