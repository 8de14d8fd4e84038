import { randomBytes } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { DirectFile } from '../../../src/blobs/direct-file.ts';
import { writeBehind } from '../../../src/blobs/file-writer.ts';
import { allocateChunk, CHUNK_BYTES } from '../../../src/chunk.ts';
import { openFiles, temporaryDirectory } from './workspace.ts';

/** The content in shared chunks, the first one shorter by `skip`: then nothing lies where the disk wants it. */
async function* chunks(content: Buffer, skip: number): AsyncGenerator<Uint8Array> {
  for (let offset = 0; offset < content.byteLength;) {
    const chunk = allocateChunk().subarray(offset === 0 ? skip : 0);
    const part = content.subarray(offset, offset + chunk.byteLength);
    chunk.set(part);
    yield chunk.subarray(0, part.byteLength);
    offset += part.byteLength;
  }
}

const content = Buffer.concat([randomBytes(6 * CHUNK_BYTES), Buffer.alloc(3 * CHUNK_BYTES), randomBytes(2 * CHUNK_BYTES + 777)]);

test.each([0, 512, 4096, 7])('a file holds what was written, with chunks that begin %i bytes later', async (skip) => {
  const directory = temporaryDirectory();
  const path = join(directory, 'file');
  const file = await DirectFile.open(path);
  expect(await writeBehind(file, path, chunks(content, skip))).toBe(content.byteLength);
  await file.close();
  expect(readFileSync(path).equals(content)).toBe(true);
  expect(openFiles(directory)).toEqual([]);
});

test('a file is gone on with where it ended', async () => {
  const path = join(temporaryDirectory(), 'file');
  for (const [from, to] of [
    [0, 2 * CHUNK_BYTES],
    [2 * CHUNK_BYTES, content.byteLength],
  ] as const) {
    const file = await DirectFile.open(path);
    await writeBehind(file, path, chunks(content.subarray(from, to), 0), from);
    await file.close();
  }
  expect(readFileSync(path).equals(content)).toBe(true);
});

test('zeros take no room, also at the end', async () => {
  const path = join(temporaryDirectory(), 'file');
  const file = await DirectFile.open(path);
  await writeBehind(file, path, chunks(Buffer.concat([randomBytes(CHUNK_BYTES), Buffer.alloc(8 * CHUNK_BYTES)]), 0));
  await file.close();
  const { size, blocks } = statSync(path);
  expect(size).toBe(9 * CHUNK_BYTES);
  expect(blocks * 512).toBeLessThan(2 * CHUNK_BYTES);
  expect(
    readFileSync(path)
      .subarray(CHUNK_BYTES)
      .equals(Buffer.alloc(8 * CHUNK_BYTES)),
  ).toBe(true);
});

test('a new file does not take the place of another', async () => {
  const path = join(temporaryDirectory(), 'file');
  await (await DirectFile.open(path)).close();
  await expect(DirectFile.open(path, { exclusive: true })).rejects.toMatchObject({ code: 'EEXIST' });
});
