import { randomBytes } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { constants, gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { type Compression, compress, decompress } from '../../../src/blobs/compress.ts';
import { verified } from '../../../src/blobs/verified.ts';
import { KitError } from '../../../src/errors.ts';
import { digestOf } from '../../../src/oci/digest.ts';
import { Chunks, collect } from './workspace.ts';

const CONTENT = Buffer.from(Array.from({ length: 20_000 }, (_, index) => `line ${index} ${(index * 7919) % 1009}\n`).join(''));
const PACK = {
  gzip: (bytes: Uint8Array) => gzipSync(bytes),
  zstd: (bytes: Uint8Array) => zstdCompressSync(bytes, { params: { [constants.ZSTD_c_checksumFlag]: 1 } }),
};
const FORMATS = ['gzip', 'zstd'] as const;

describe.each(['gzip', 'gzip-fastest', 'zstd'] as const)('compress %s', (compression) => {
  test('can be read by others, and by us', async () => {
    const bytes = await collect(compress(new Chunks(CONTENT, 10_000), compression));
    expect((compression === 'zstd' ? zstdDecompressSync(bytes) : gunzipSync(bytes)).equals(CONTENT)).toBe(true);
    expect((await collect(decompress(new Chunks(bytes, 777), compression, 'layer'))).equals(CONTENT)).toBe(true);
  });

  test('does not depend on how the bytes come in', async () => {
    const [whole, small] = await Promise.all(
      [CONTENT.byteLength, 1234].map((size) => collect(compress(new Chunks(CONTENT, size), compression))),
    );
    expect(small).toEqual(whole);
  });

  test('an empty blob has a compressed form too', async () => {
    const bytes = await collect(compress(new Chunks(Buffer.alloc(0), 1), compression));
    expect(await collect(decompress(new Chunks(bytes, 5), compression, 'layer'))).toHaveLength(0);
  });

  test('an error of the source comes through and a reader that stops ends it', async () => {
    const failure = new Error('source');
    const failing = new Chunks(CONTENT, 10_000, failure);
    await expect(collect(compress(failing, compression))).rejects.toBe(failure);
    const source = new Chunks(Buffer.concat(Array.from({ length: 120 }, () => CONTENT)), 100_000);
    for await (const chunk of compress(source, compression)) {
      expect(chunk.byteLength).toBeGreaterThan(0);
      break;
    }
    expect(source.ended).toBe(true);
    expect(source.asked).toBeLessThan(400);
  });
});

async function header(compression: Compression): Promise<string> {
  return (await collect(compress(new Chunks(CONTENT, 9999), compression))).subarray(0, 10).toString('hex');
}

test('the gzip header names no time and no system, as Go writes it', async () => {
  expect(await header('gzip')).toBe('1f8b08000000000000ff');
  expect(await header('gzip-fastest')).toBe('1f8b08000000000004ff');
});

describe.each(FORMATS)('decompress %s', (format) => {
  const packed = PACK[format](CONTENT);
  const invalid = expect.objectContaining({ code: 'LAYER_INVALID', message: expect.stringContaining('sha256:x') as unknown }) as unknown;
  const read = (bytes: Uint8Array, size: number) => collect(decompress(new Chunks(bytes, size), format, 'sha256:x'));

  test.each([1_000_000_000, 1000])('joins all that follow each other, in chunks of %d', async (size) => {
    const [first, second] = [CONTENT.subarray(0, 100_000), CONTENT.subarray(100_000)].map(PACK[format]) as [Buffer, Buffer];
    expect((await read(Buffer.concat([first, second, PACK[format](Buffer.alloc(0))]), size)).equals(CONTENT)).toBe(true);
  });

  test.each([1_000_000_000, 1000])('refuses what follows the end, in chunks of %d', async (size) => {
    await expect(read(Buffer.concat([packed, Buffer.from('garbage')]), size)).rejects.toEqual(invalid);
    await expect(read(Buffer.concat([packed, Buffer.from('\0\0\0garbage')]), size)).rejects.toEqual(invalid);
    await expect(read(Buffer.concat([packed, packed.subarray(0, 20)]), size)).rejects.toEqual(invalid);
  });

  test('refuses what is cut off, damaged, empty or something else', async () => {
    for (const length of [0, 1, 5, packed.byteLength >> 1, packed.byteLength - 1]) {
      await expect(read(packed.subarray(0, length), 1000)).rejects.toEqual(invalid);
    }
    await expect(read(Buffer.from('this is a text'), 1000)).rejects.toEqual(invalid);
    const flipped = Buffer.from(packed);
    flipped[packed.byteLength >> 1]! ^= 0xff;
    await expect(read(flipped, 1000)).rejects.toEqual(invalid);
  });

  test('a wrong digest is the better answer, although the codec fails first', async () => {
    const flipped = Buffer.from(packed);
    flipped[20]! ^= 0xff;
    const descriptor = { mediaType: 'x', digest: digestOf(packed), size: packed.byteLength };
    const source = new Chunks(flipped, 1000);
    await expect(collect(decompress(verified(source, descriptor), format, 'layer'))).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
    expect(source.ended).toBe(true);
  });

  test('an error of the source comes through as it is', async () => {
    const failure = new KitError('NETWORK', 'gone');
    await expect(collect(decompress(new Chunks(packed, 1000, failure), format, 'layer'))).rejects.toBe(failure);
  });

  test('a slow reader holds the source back, and ends it when it stops', async () => {
    const random = randomBytes(8 * 1024 * 1024);
    const source = new Chunks(format === 'gzip' ? gzipSync(random, { level: 0 }) : PACK.zstd(random), 10_000);
    const content = decompress(source, format, 'layer')[Symbol.asyncIterator]();
    await content.next();
    await setImmediate();
    expect(source.asked).toBeLessThan(200);
    await content.return?.();
    expect(source.ended).toBe(true);
    expect(source.asked).toBeLessThan(200);
  });
});
