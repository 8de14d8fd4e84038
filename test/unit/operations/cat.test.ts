import { describe as group, expect, test } from 'vitest';
import { isKitError } from '../../../src/errors.ts';
import { digestOf } from '../../../src/oci/digest.ts';
import { cat, type CatArguments, type CatResult } from '../../../src/operations/inspect/cat.ts';
import { files } from '../../../src/operations/inspect/files.ts';
import { parseLocation } from '../../../src/oci/reference.ts';
import { pack } from '../../../src/operations/pack/pack.ts';
import { archive } from '../blobs/archive.ts';
import { blobTraffic, openRegistry, publish, publishImage, steadyKit } from './remote-artifact.ts';
import { workspace } from './sandbox.ts';

const MIB = 1024 * 1024;
const WEIGHTS = Buffer.alloc(5 * MIB, 'weights');
/** More than is held back. */
const HUGE = Buffer.alloc(17 * MIB, 'huge');
const FILES = {
  Kitfile: 'manifestVersion: 1.0.0\nmodel:\n  name: m\n  path: weights\ndocs:\n  - path: README.md\n',
  'weights/a.safetensors': WEIGHTS,
  'weights/config.json': '{"a":1}',
  'weights/sub/config.json': '{"b":1}',
  'weights/z.bin': Buffer.alloc(3 * MIB, 'z'),
  'README.md': 'read me',
};

interface Printed extends Partial<CatResult> {
  readonly text: Buffer;
  readonly code?: string;
}

async function print(args: CatArguments, kit = steadyKit()): Promise<Printed> {
  const chunks: Uint8Array[] = [];
  const write = async (bytes: Uint8Array): Promise<void> => void chunks.push(await Promise.resolve(Buffer.from(bytes)));
  try {
    const result = await cat(kit, args, write);
    return { ...result, text: Buffer.concat(chunks) };
  } catch (error) {
    if (!isKitError(error)) throw error;
    return { code: error.code, text: Buffer.concat(chunks) };
  }
}

group('out of a large tar layer', () => {
  test('a small file beside its header costs nothing more than finding it', async () => {
    const registry = await openRegistry();
    const source = await publish(registry, 'm:v1', FILES);
    const { text, verified } = await print({ source, path: 'weights/config.json' });
    expect([String(text), verified]).toEqual(['{"a":1}', false]);
    const traffic = blobTraffic(registry);
    expect(traffic).toMatchObject({ ranges: 3, whole: 1 });
    expect(traffic.bytes).toBeLessThan(200 * 1024);
  });

  test('a large file costs one range for its content', async () => {
    const registry = await openRegistry();
    const source = await publish(registry, 'm:v1', { ...FILES, 'weights/huge.bin': HUGE });
    const { text, verified } = await print({ source, path: 'huge.bin' });
    expect([text.equals(HUGE), verified]).toEqual([true, false]);
    const traffic = blobTraffic(registry);
    expect(traffic.ranges).toBe(5);
    expect(traffic.bytes).toBeLessThan(HUGE.byteLength + 400 * 1024);
  });

  test('with verify the layer is read whole, and nothing is printed of a wrong one', async () => {
    const registry = await openRegistry();
    const source = await publish(registry, 'm:v1', { ...FILES, 'weights/huge.bin': HUGE });
    expect(await print({ source, path: 'z.bin', verify: true })).toMatchObject({ verified: true, text: FILES['weights/z.bin'] });
    expect(blobTraffic(registry)).toMatchObject({ ranges: 0 });
    // too large to be held back: printed from a second, ranged read, which must have the digest that the first one found
    const huge = await print({ source, path: 'huge.bin', verify: true });
    expect([huge.text.equals(HUGE), huge.verified]).toEqual([true, true]);
    const { layers } = await files(workspace().kit, { source });
    const { digest, size } = layers[0] ?? { digest: 'sha256:' as const, size: 0 };
    const good = Buffer.alloc(size);
    let at = 0;
    for await (const chunk of registry.storage.read(digest, 0, size)) at += Buffer.from(chunk).copy(good, at);
    const bad = Buffer.from(good);
    bad[size - 2000] = 1;
    await registry.storage.replaceBlob(digest, bad);
    expect(await print({ source, path: 'weights/a.safetensors', verify: true })).toMatchObject({
      code: 'DIGEST_MISMATCH',
      text: Buffer.alloc(0),
    });
  });

  test('with a digest from elsewhere even a part is checked', async () => {
    const registry = await openRegistry();
    const source = await publish(registry, 'm:v1', { ...FILES, 'weights/huge.bin': HUGE });
    const digests = new Map([
      ['weights/config.json', digestOf(Buffer.from('{"a":1}'))],
      ['weights/huge.bin', digestOf(HUGE)],
      ['weights/z.bin', digestOf(Buffer.from('another'))],
    ]);
    const digestOfPath = (path: string) => digests.get(path);
    for (const path of ['weights/config.json', 'weights/huge.bin']) {
      registry.clear();
      expect(await print({ source, path, digestOf: digestOfPath })).toMatchObject({ verified: true });
      expect(blobTraffic(registry).whole).toBe(1);
    }
    expect(await print({ source, path: 'z.bin', digestOf: digestOfPath })).toMatchObject({
      code: 'DIGEST_MISMATCH',
      text: Buffer.alloc(0),
    });
  });
});

test('a file of a small layer is checked before it is printed', async () => {
  const registry = await openRegistry();
  const source = await publish(registry, 'm:v1', FILES);
  expect(await print({ source, path: 'README.md' })).toMatchObject({ verified: true, text: Buffer.from('read me') });
  const { layers } = await files(workspace().kit, { source, patterns: ['README.md'] });
  const readme = layers.find(({ role }) => role === 'docs');
  await registry.storage.replaceBlob(readme?.digest ?? 'sha256:', archive({ name: 'README.md', content: 'evil!!!' }));
  expect(await print({ source, path: './README.md' })).toMatchObject({ code: 'DIGEST_MISMATCH', text: Buffer.alloc(0) });
});

group('a file that is a layer', () => {
  test('is checked before it is printed where it is small, and on the way where it is large', async () => {
    const registry = await openRegistry();
    const source = await publish(registry, 'm:v1', { ...FILES, 'weights/huge.bin': HUGE }, { format: 'modelpack' });
    const good = await print({ source, path: 'a.safetensors' });
    expect([good.text.equals(WEIGHTS), good.verified]).toEqual([true, true]);
    expect(blobTraffic(registry)).toEqual({ ranges: 0, bytes: 0, whole: 2 });
    for (const [content, printed] of [
      [WEIGHTS, 0],
      [HUGE, 1],
    ] as const) {
      const bad = Buffer.from(content);
      bad[bad.byteLength - 1] = 0;
      await registry.storage.replaceBlob(digestOf(content), bad);
      const result = await print({ source, path: content === HUGE ? 'huge.bin' : 'a.safetensors' });
      expect(result.code).toBe('DIGEST_MISMATCH');
      expect(Math.sign(result.text.byteLength)).toBe(printed);
    }
  });

  test('and compressed is printed as it was', async () => {
    const registry = await openRegistry();
    const source = await publish(
      registry,
      'm:v1',
      { Kitfile: 'manifestVersion: 1.0.0\nmodel:\n  path: a.bin\n', 'a.bin': WEIGHTS },
      { layerFormat: 'raw', compression: 'zstd' },
    );
    const { text, verified } = await print({ source, path: 'a.bin' });
    expect([text.equals(WEIGHTS), verified]).toEqual([true, true]);
  });
});

test.each(['gzip', 'zstd'] as const)('a layer compressed by %s is read whole and checked, once for what is small', async (compression) => {
  const registry = await openRegistry();
  const { Kitfile, 'weights/sub/config.json': config } = FILES;
  const files = { Kitfile, 'README.md': '', 'weights/sub/config.json': config, 'weights/huge.bin': HUGE };
  const source = await publish(registry, 'm:v1', files, { compression });
  expect(await print({ source, path: 'weights/sub/config.json' })).toMatchObject({ verified: true, text: Buffer.from('{"b":1}') });
  expect(blobTraffic(registry)).toMatchObject({ ranges: 0, whole: 2 });
  const huge = await print({ source, path: 'huge.bin' });
  expect([huge.text.equals(HUGE), huge.verified]).toEqual([true, true]);
});

test('a path comes before names at any depth; a name of several files is an error that lists them', async () => {
  const registry = await openRegistry();
  const source = await publish(registry, 'm:v1', FILES);
  const cases = { 'weights/config.json': '{"a":1}', 'sub/config.json': undefined, '*/sub/*.json': '{"b":1}', '/README.md': 'read me' };
  for (const [path, text] of Object.entries(cases)) {
    const printed = await print({ source, path });
    expect([path, printed.code, String(printed.text)]).toEqual([path, text === undefined ? 'PATH_NOT_FOUND' : undefined, text ?? '']);
  }
  await expect(cat(workspace().kit, { source, path: 'config.json' }, async () => await Promise.resolve())).rejects.toMatchObject({
    code: 'USAGE',
    message: expect.stringMatching(/weights\/config\.json.*\n.*weights\/sub\/config\.json/) as string,
  });
  for (const path of ['weights', 'weights/sub/']) expect(await print({ source, path })).toMatchObject({ code: 'UNSUPPORTED' });
});

group('an image', () => {
  const lower = archive(
    { name: 'etc/a', content: 'lower' },
    { name: 'etc/b', content: 'b' },
    { name: 'opt/c', content: 'c' },
    { name: 'x', type: '2', link: 'y' },
  );
  const upper = archive({ name: 'etc/a', content: 'upper' }, { name: 'etc/.wh.b' }, { name: 'opt/.wh..wh..opq' });

  test('shows the topmost file, and none that an upper layer takes away', async () => {
    const registry = await openRegistry();
    const source = await publishImage(registry, 'image', lower, upper);
    expect(await print({ source, path: 'etc/a' })).toMatchObject({ text: Buffer.from('upper'), verified: true });
    // the lower layer was not needed
    expect(blobTraffic(registry).whole).toBe(2);
    expect(await print({ source, path: 'etc/b' })).toMatchObject({ code: 'PATH_NOT_FOUND' });
    expect(await print({ source, path: 'opt/c' })).toMatchObject({ code: 'PATH_NOT_FOUND' });
    expect(await print({ source, path: 'etc/*' })).toMatchObject({ text: Buffer.from('upper') });
    expect(await print({ source, path: 'x' })).toMatchObject({ code: 'UNSUPPORTED' });
  });
});

test('local storage is read in parts and still checked', async () => {
  const space = workspace();
  space.write(Object.fromEntries(Object.entries(FILES).map(([path, content]) => [`in/${path}`, content])));
  const source = parseLocation('m:v1');
  await pack(space.kit, { directory: space.path('in'), destination: source });
  expect(await print({ source, path: 'z.bin' }, space.kit)).toMatchObject({ verified: true, text: FILES['weights/z.bin'] });
});
