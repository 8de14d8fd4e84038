import { createHash } from 'node:crypto';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { RangedBytes } from '../../../src/blobs/ranged-bytes.ts';
import type { ByteRange, Bytes } from '../../../src/blob-source.ts';
import { TarReader } from '../../../src/blobs/tar-reader.ts';
import { archive } from './archive.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

/** A blob that notes what is asked for. */
class Blob {
  readonly asked: ByteRange[] = [];
  readonly #bytes: Uint8Array;
  readonly #piece: number;

  constructor(bytes: Uint8Array, piece = 16 * KIB) {
    this.#bytes = bytes;
    this.#piece = piece;
  }

  get fetched(): number {
    return this.asked.reduce((sum, { start, end }) => sum + end - start, 0);
  }

  async open(size = this.#bytes.byteLength): Promise<RangedBytes> {
    return await RangedBytes.open(size, 'sha256:x', async (range) => await Promise.resolve(this.#fetch(range)));
  }

  async *#fetch(range: ByteRange): Bytes & AsyncGenerator<Uint8Array> {
    this.asked.push(range);
    for (let at = range.start; at < range.end; at += this.#piece)
      yield await Promise.resolve(this.#bytes.subarray(at, Math.min(range.end, at + this.#piece)));
  }
}

async function names(reader: TarReader): Promise<string[]> {
  const found: string[] = [];
  for (let entry = await reader.next(); entry !== undefined; entry = await reader.next()) found.push(entry.path);
  return found;
}

test('what is skipped is not asked for, whatever is read and skipped', async () => {
  const bytes = Buffer.alloc(3 * MIB, createHash('sha256').update('content').digest());
  const steps = fc.array(fc.record({ skip: fc.nat(400 * KIB), read: fc.nat(200 * KIB), isExpected: fc.boolean() }), { maxLength: 12 });
  await fc.assert(
    fc.asyncProperty(steps, fc.integer({ min: 1000, max: 100_000 }), async (list, piece) => {
      const source = await new Blob(bytes, piece).open();
      let [position, rest] = [0, Buffer.alloc(0)];
      for (const { skip, read, isExpected } of list) {
        const wanted = Math.max(0, skip - rest.byteLength);
        rest = rest.subarray(skip - wanted);
        expect(source.skip(wanted)).toBe(Math.max(0, Math.min(wanted, bytes.byteLength - position - (skip - wanted))));
        position = Math.min(bytes.byteLength, position + skip);
        if (isExpected) source.expect(read);
        while (rest.byteLength < read) {
          const next = await source.next();
          if (next.done === true) break;
          rest = Buffer.concat([rest, next.value]);
        }
        expect(rest.subarray(0, read).equals(bytes.subarray(position, position + Math.min(read, rest.byteLength)))).toBe(true);
        position += Math.min(read, rest.byteLength);
        rest = rest.subarray(read);
      }
      await source.return();
    }),
    { numRuns: 40 },
  );
});

describe('the names of an archive', () => {
  test('with a few large files cost one small range each', async () => {
    const large = Buffer.alloc(5 * MIB);
    const blob = new Blob(archive({ name: 'a', content: large }, { name: 'b', content: large }, { name: 'c', content: large }));
    expect(await names(new TarReader(await blob.open(), 'x'))).toEqual(['a', 'b', 'c']);
    expect(blob.asked).toHaveLength(4);
    expect(blob.fetched).toBeLessThan(4 * 64 * KIB + 1);
  });

  test('with very many small files cost few ranges', async () => {
    const entries = Array.from({ length: 20_000 }, (_, index) => ({ name: `d/${index}`, content: 'x' }));
    const bytes = archive(...entries);
    const blob = new Blob(bytes);
    expect(await names(new TarReader(await blob.open(), 'x'))).toHaveLength(20_000);
    // 20 MB in ranges that grow to 1 MiB
    expect(blob.asked.length).toBeLessThan(28);
    expect(blob.fetched).toBe(bytes.byteLength);
  });

  test('with small files, then large ones, do not go on in large ranges', async () => {
    const small = Array.from({ length: 4000 }, (_, index) => ({ name: `s${index}` }));
    const large = Array.from({ length: 8 }, (_, index) => ({ name: `l${index}`, content: Buffer.alloc(2 * MIB) }));
    const blob = new Blob(archive(...small, ...large));
    await names(new TarReader(await blob.open(), 'x'));
    expect((blob.asked.at(-1)?.end ?? 0) - (blob.asked.at(-1)?.start ?? 0)).toBeLessThanOrEqual(128 * KIB);
    expect(blob.fetched).toBeLessThan(7 * MIB);
  });
});

test('content is fetched in one range, with the next header', async () => {
  const content = Buffer.alloc(10 * MIB, 'weights');
  const blob = new Blob(archive({ name: 'a', content: Buffer.alloc(2 * MIB) }, { name: 'b', content }, { name: 'c' }));
  const reader = new TarReader(await blob.open(), 'x');
  await reader.next();
  expect(await reader.next()).toMatchObject({ path: 'b' });
  expect(reader.contentStart).toBe(2 * MIB + 1024);
  const chunks: Uint8Array[] = [];
  for await (const chunk of reader.content()) chunks.push(chunk);
  expect(Buffer.concat(chunks).equals(content)).toBe(true);
  expect(await names(reader)).toEqual(['c']);
  expect(blob.asked).toHaveLength(3);
});

describe('refused is', () => {
  const large = archive({ name: 'a', content: Buffer.alloc(2 * MIB) });

  test('an entry that ends beyond the blob', async () => {
    const cut = large.subarray(0, MIB);
    const reader = new TarReader(await new Blob(cut).open(), 'sha256:x');
    await reader.next();
    await expect(reader.next()).rejects.toMatchObject({
      code: 'LAYER_INVALID',
      message: expect.stringContaining('before the end of an entry') as string,
    });
  });

  test('a source that sends less than it was asked for', async () => {
    const reader = new TarReader(await new Blob(large.subarray(0, MIB)).open(large.byteLength), 'sha256:x');
    await reader.next();
    await expect(reader.next()).rejects.toMatchObject({ code: 'SIZE_MISMATCH' });
  });

  test('a source that sends more', async () => {
    const source = await RangedBytes.open(large.byteLength, 'sha256:x', async () => await Promise.resolve(new Blob(large).open()));
    await expect(names(new TarReader(source, 'sha256:x'))).rejects.toMatchObject({ code: 'SIZE_MISMATCH' });
  });
});

test('a link has no content, whatever its header says', async () => {
  const link = { name: 'hard', type: '1', link: 'a', size: '00000000012\0' };
  expect(await names(new TarReader(await new Blob(archive(link, { name: 'b', content: 'x' })).open(), 'x'))).toEqual(['hard', 'b']);
});
