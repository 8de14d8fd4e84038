import { mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readAhead } from '../../../src/blobs/read-ahead.ts';
import type { FileToRead } from '../../../src/blobs/read-fully.ts';
import { CHUNK_BYTES, releaseChunk } from '../../../src/chunk.ts';
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

async function* reading(
  range: { readonly start: number; readonly end: number } = { start: 0, end: SIZE },
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const handle = await open(path);
  const file: FileToRead = {
    handle,
    failed: (error) => new Error('failed', { cause: error }),
    cutOff: (position) => new Error(`cut off at ${position}`),
  };
  try {
    yield* readAhead(file, range, signal);
  } finally {
    await handle.close();
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
