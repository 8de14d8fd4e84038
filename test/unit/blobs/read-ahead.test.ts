import { mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { DirectReads } from '../../../src/blobs/direct-read.ts';
import { fileBytes } from '../../../src/blobs/file-bytes.ts';
import { readAhead } from '../../../src/blobs/read-ahead.ts';
import type { FileToRead } from '../../../src/blobs/read-fully.ts';
import { paceOf } from '../../../src/blobs/read-pace.ts';
import { allocateChunk, CHUNK_BYTES, releaseChunk } from '../../../src/chunk.ts';
import { openFiles } from './workspace.ts';

const SIZE = 12 * CHUNK_BYTES + 12_345;
const content = Buffer.alloc(SIZE);
for (let at = 0; at < SIZE; at += 4096) content.writeUInt32LE(at, at);

let folder: string;
let path: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'read-ahead-'));
  path = join(folder, 'file');
  await writeFile(path, content);
});
afterAll(async () => await rm(folder, { recursive: true }));

async function opened(): Promise<FileToRead> {
  return {
    handle: await open(path),
    failed: (error) => new Error('failed', { cause: error }),
    cutOff: (position) => new Error(`cut off at ${position}`),
  };
}

async function* reading(
  range: { readonly start: number; readonly end: number } = { start: 0, end: SIZE },
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const file = await opened();
  try {
    yield* readAhead(file, range, signal);
  } finally {
    await file.handle.close();
  }
}

/** Everything, with what the receiver does to each chunk that it has taken a copy of. */
async function taken(bytes: AsyncIterable<Uint8Array>, then: (chunk: Uint8Array) => void): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const chunk of bytes) {
    parts.push(Buffer.from(chunk));
    then(chunk);
  }
  return Buffer.concat(parts);
}

describe('the range', () => {
  test('comes whole to a receiver that keeps its chunks', async () => {
    const kept: Uint8Array[] = [];
    const range = { start: 5, end: SIZE - 7 };
    expect((await taken(reading(range), (chunk) => kept.push(chunk))).equals(content.subarray(range.start, range.end))).toBe(true);
    // what it holds was not written to since
    expect(Buffer.concat(kept).equals(content.subarray(range.start, range.end))).toBe(true);
  });

  test('comes in the same memory again to one that gives each chunk back', async () => {
    const buffers = new Set<ArrayBufferLike>();
    const got = await taken(reading(), (chunk) => {
      buffers.add(chunk.buffer);
      releaseChunk(chunk);
    });
    expect(got.equals(content)).toBe(true);
    expect(buffers.size).toBeLessThan(6);
  });

  test('comes to one that gives back some', async () => {
    let count = 0;
    const got = await taken(reading(), (chunk) => {
      count += 1;
      if (count % 5 !== 0) releaseChunk(chunk);
    });
    expect(got.equals(content)).toBe(true);
  });

  test.each([0, 1, 128 * 1024, CHUNK_BYTES, CHUNK_BYTES + 1])('of %i bytes', async (length) => {
    const range = { start: 17, end: 17 + length };
    expect((await taken(reading(range), releaseChunk)).equals(content.subarray(range.start, range.end))).toBe(true);
  });
});

describe.each([
  ['kept', (): void => undefined],
  ['given back', releaseChunk],
] as const)('chunks that are %s', (_name, then) => {
  test('a file that is shorter than it was is an error that says where', async () => {
    await expect(taken(reading({ start: 0, end: SIZE + CHUNK_BYTES }), then)).rejects.toThrow(`cut off at ${SIZE}`);
  });

  test('the signal ends it', async () => {
    const stop = new AbortController();
    const bytes = taken(reading(undefined, stop.signal), (chunk) => {
      then(chunk);
      stop.abort(new Error('enough'));
    });
    await expect(bytes).rejects.toThrow('enough');
  });

  test('leaving early closes the file', async () => {
    for await (const chunk of reading()) {
      then(chunk);
      break;
    }
    expect(openFiles(folder)).toEqual([]);
  });
});

describe('what is at hand', () => {
  const piece = Buffer.alloc(100_000);

  /** All bytes, by `readNow` where it has any; and how many came so. */
  async function mixed(file: Promise<FileToRead>, start = 3): Promise<{ readonly got: Buffer; readonly now: number }> {
    const iterator = fileBytes(async () => await file, { start, end: SIZE }, undefined)[Symbol.asyncIterator]();
    const parts: Buffer[] = [];
    let now = 0;
    for (;;) {
      const count = iterator.readNow?.(piece) ?? 0;
      now += count;
      if (count > 0) {
        parts.push(Buffer.from(piece.subarray(0, count)));
        continue;
      }
      const step = await iterator.next();
      if (step.done === true) return { got: Buffer.concat(parts), now };
      parts.push(Buffer.from(step.value));
      releaseChunk(step.value);
    }
  }

  test('is read without a thread, but for the first chunks', async () => {
    const { got, now } = await mixed(opened());
    expect(got.equals(content.subarray(3))).toBe(true);
    expect(now).toBeGreaterThan(0);
    expect(openFiles(folder)).toEqual([]);
  });

  // past the page cache where they begin with a block and the file system lets them
  test.each([0, 3, 4096 * 5])('is left to threads where reading takes long, from byte %i', async (start) => {
    let time = 0;
    using _clock = vi.spyOn(performance, 'now').mockImplementation(() => (time += 20));
    const { got, now } = await mixed(opened(), start);
    expect(got.equals(content.subarray(start))).toBe(true);
    expect(now).toBe(2 * piece.byteLength);
    expect(openFiles(folder)).toEqual([]);
  });

  test('is left to threads from the start for a range of what was found to be slow', async () => {
    const blob = {};
    let time = 0;
    using clock = vi.spyOn(performance, 'now').mockImplementation(() => (time += 20));
    const first = fileBytes(opened, { start: 0, end: SIZE }, undefined, paceOf(blob))[Symbol.asyncIterator]();
    await first.next();
    while (first.readNow?.(piece) !== 0);
    await first.return?.();
    clock.mockRestore();
    const got: Uint8Array[] = [];
    const second = fileBytes(opened, { start: 4096, end: SIZE }, undefined, paceOf(blob))[Symbol.asyncIterator]();
    for (let step = await second.next(); step.done !== true; step = await second.next()) {
      got.push(step.value);
      expect(second.readNow?.(piece)).toBe(0);
    }
    expect(Buffer.concat(got).equals(content.subarray(4096))).toBe(true);
    expect(paceOf(blob).isSlow).toBe(true);
    expect(paceOf({}).isSlow).toBe(false);
    expect(openFiles(folder)).toEqual([]);
  });

  test('stays so where one piece took long: that may have been the turn of another program', async () => {
    let [time, reads] = [0, 0];
    // of each two calls the second one ends a read; every 50th read is a long one
    using _clock = vi.spyOn(performance, 'now').mockImplementation(() => (time += ++reads % 100 === 0 ? 20 : 0.01));
    const { got, now } = await mixed(opened());
    expect(got.equals(content.subarray(3))).toBe(true);
    expect(now).toBe(SIZE - 3 - CHUNK_BYTES);
  });

  test('of a file that is shorter than it was is an error that says where', async () => {
    const iterator = fileBytes(opened, { start: 0, end: SIZE + CHUNK_BYTES }, undefined)[Symbol.asyncIterator]();
    do await iterator.next();
    while (iterator.readNow?.(piece) === 0);
    expect(() => {
      while ((iterator.readNow?.(piece) ?? 0) > 0);
    }).toThrow(`cut off at ${SIZE}`);
    await iterator.return?.();
    expect(openFiles(folder)).toEqual([]);
  });

  test.each([0, 1])('is closed where the receiver leaves while chunk %i is awaited', async (before) => {
    const iterator = fileBytes(opened, { start: 0, end: SIZE }, undefined)[Symbol.asyncIterator]();
    for (let count = 0; count < before; count++) await iterator.next();
    const awaited = iterator.next();
    await iterator.return?.();
    await awaited;
    expect(openFiles(folder)).toEqual([]);
    expect(await iterator.next()).toEqual({ done: true, value: undefined });
  });

  test('is nothing before the file is opened, and after', async () => {
    const iterator = fileBytes(opened, { start: 0, end: SIZE }, undefined)[Symbol.asyncIterator]();
    expect(iterator.readNow?.(piece)).toBe(0);
    await iterator.next();
    await iterator.return?.();
    expect(iterator.readNow?.(piece)).toBe(0);
    expect(await iterator.next()).toEqual({ done: true, value: undefined });
  });
});

describe('reads past the page cache', () => {
  test('give what is there, up to the end of the file, and nothing where the file system or the memory does not allow them', async () => {
    const { handle } = await opened();
    const reads = new DirectReads(handle.fd);
    const chunk = allocateChunk();
    const read = await reads.read(chunk, CHUNK_BYTES, CHUNK_BYTES);
    expect([0, CHUNK_BYTES]).toContain(read);
    expect(chunk.subarray(0, read)).toEqual(new Uint8Array(content.subarray(CHUNK_BYTES, CHUNK_BYTES + read)));
    const last = 12 * CHUNK_BYTES;
    expect([0, SIZE - last]).toContain(await reads.read(chunk, CHUNK_BYTES, last));
    expect(await reads.read(chunk, 1000, 7)).toBe(0);
    expect(await reads.read(Buffer.alloc(4096), 4096, 0)).toBe(0);
    await reads.close();
    await handle.close();
    expect(openFiles(folder)).toEqual([]);
  });
});
