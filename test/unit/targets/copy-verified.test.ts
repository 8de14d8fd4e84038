import { randomBytes } from 'node:crypto';
import { describe as suite, expect, test } from 'vitest';
import type { ByteRange } from '../../../src/blob-source.ts';
import { describe, type Descriptor } from '../../../src/oci/descriptor.ts';
import { verifiedReads } from '../../../src/targets/copy-verified.ts';
import type { ReadTarget } from '../../../src/targets/types.ts';

const CHUNK = 1000;

/** A source of `sent` in chunks, which notes what was asked of it. */
function source(sent: () => Buffer, asked: (ByteRange | undefined)[] = []): ReadTarget {
  return {
    name: 'source',
    can: {},
    has: async () => await Promise.resolve(true),
    resolve: async () => await Promise.reject(new Error('not asked for')),
    fetch: async (_blob, { range } = {}) => {
      asked.push(range);
      const bytes = range === undefined ? sent() : sent().subarray(range.start, range.end);
      return await Promise.resolve(
        (async function* chunks() {
          for (let at = 0; at < bytes.byteLength; at += CHUNK) yield await Promise.resolve(Buffer.from(bytes.subarray(at, at + CHUNK)));
        })(),
      );
    },
  };
}

const bytes = randomBytes(4500);
const blob = describe('application/octet-stream', bytes);

async function read(from: ReadTarget, of: Descriptor = blob, range?: ByteRange): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(await from.fetch(of, range === undefined ? {} : { range })));
}

/** As much as came before the error. */
async function readUntilError(from: ReadTarget, of: Descriptor, range?: ByteRange): Promise<{ bytes: number; code: unknown }> {
  let count = 0;
  try {
    for await (const chunk of await from.fetch(of, range === undefined ? {} : { range })) count += chunk.byteLength;
  } catch (error) {
    return { bytes: count, code: (error as { code?: unknown }).code };
  }
  return { bytes: count, code: undefined };
}

suite('reads that are verified', () => {
  test('pass on what is right, in one request without a range', async () => {
    const asked: (ByteRange | undefined)[] = [];
    expect(await read(verifiedReads(source(() => bytes, asked)))).toEqual(bytes);
    expect(asked).toEqual([undefined]);
  });

  test.each([
    ['a byte flipped at the start', 0],
    ['a byte flipped at the end', 4499],
  ])('hold the end back: %s', async (_, at) => {
    const wrong = Buffer.from(bytes);
    wrong[at] = (wrong[at] ?? 0) ^ 1;
    const result = await readUntilError(verifiedReads(source(() => wrong)), blob);
    expect(result).toEqual({ bytes: 4000, code: 'DIGEST_MISMATCH' });
  });

  test.each([
    ['short', bytes.subarray(0, 4400)],
    ['long', Buffer.concat([bytes, Buffer.from('x')])],
  ])('refuse what is too %s', async (_, sent) => {
    const result = await readUntilError(verifiedReads(source(() => sent)), blob);
    expect(result.code).toBe('SIZE_MISMATCH');
    expect(result.bytes).toBeLessThan(blob.size);
  });

  test('an empty blob', async () => {
    const empty = describe('x/y', Buffer.alloc(0));
    expect(await read(verifiedReads(source(() => Buffer.alloc(0))), empty)).toEqual(Buffer.alloc(0));
    const lie = { ...empty, digest: blob.digest };
    expect((await readUntilError(verifiedReads(source(() => Buffer.alloc(0))), lie)).code).toBe('DIGEST_MISMATCH');
  });

  test('in parts, one after the other, hash each byte once', async () => {
    const asked: (ByteRange | undefined)[] = [];
    const from = verifiedReads(source(() => bytes, asked));
    const parts = [await read(from, blob, { start: 0, end: 2000 }), await read(from, blob, { start: 2000, end: 4500 })];
    expect(Buffer.concat(parts)).toEqual(bytes);
    expect(asked).toEqual([
      { start: 0, end: 2000 },
      { start: 2000, end: 4500 },
    ]);
  });

  test('in parts, of which one was changed, are refused at the end', async () => {
    const wrong = Buffer.from(bytes);
    wrong[10] = (wrong[10] ?? 0) ^ 1;
    const from = verifiedReads(source(() => wrong));
    await read(from, blob, { start: 0, end: 2000 });
    const result = await readUntilError(from, blob, { start: 2000, end: 4500 });
    expect(result.code).toBe('DIGEST_MISMATCH');
    expect(result.bytes).toBeLessThan(2500);
  });

  test('that go on before where they broke, or behind it, still cover every byte', async () => {
    const from = verifiedReads(source(() => bytes));
    for await (const chunk of await from.fetch(blob)) if (chunk.byteLength > 0) break;
    expect(await read(from, blob, { start: 500, end: 4500 })).toEqual(bytes.subarray(500));
    const late = verifiedReads(source(() => bytes));
    expect(await read(late, blob, { start: 3000, end: 4500 })).toEqual(bytes.subarray(3000));
    const wrong = Buffer.from(bytes);
    wrong[10] = (wrong[10] ?? 0) ^ 1;
    const result = await readUntilError(verifiedReads(source(() => wrong)), blob, { start: 3000, end: 4500 });
    expect(result.code).toBe('DIGEST_MISMATCH');
  });

  test('from the start again, hash again: the source may have healed', async () => {
    let sent = Buffer.from(bytes);
    sent[10] = (sent[10] ?? 0) ^ 1;
    const from = verifiedReads(source(() => sent));
    expect((await readUntilError(from, blob)).code).toBe('DIGEST_MISMATCH');
    sent = bytes;
    expect(await read(from)).toEqual(bytes);
    expect(await read(from)).toEqual(bytes);
  });

  test('a reader that was left behind adds nothing', async () => {
    const from = verifiedReads(source(() => bytes));
    const left = (await from.fetch(blob))[Symbol.asyncIterator]();
    await left.next();
    expect(await read(from)).toEqual(bytes);
    expect(await left.next()).toMatchObject({ done: true });
    expect(await read(from, blob, { start: 4000, end: 4500 })).toEqual(bytes.subarray(4000));
  });

  test('sha512', async () => {
    const { createHash } = await import('node:crypto');
    const other: Descriptor = { ...blob, digest: `sha512:${createHash('sha512').update(bytes).digest('hex')}` };
    expect(await read(verifiedReads(source(() => bytes)), other)).toEqual(bytes);
  });
});
