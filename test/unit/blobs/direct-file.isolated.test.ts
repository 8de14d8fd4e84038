import { randomBytes } from 'node:crypto';
import { closeSync, constants, openSync, readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { DirectFile } from '../../../src/blobs/direct-file.ts';
import { writeBehind } from '../../../src/blobs/file-writer.ts';
import type { WriteWay } from '../../../src/blobs/write-pace.ts';
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

/** Sends everything one way, as far as it can go there. */
const always = (way: WriteWay) => ({ way, begin() {}, end() {} });

/** Whether this process has the file open past the page cache. */
function isOpenDirect(path: string): boolean {
  return readdirSync('/proc/self/fd').some((fd) => {
    try {
      const flags = Number.parseInt(/flags:\s+(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1] ?? '0', 8);
      return readlinkSync(`/proc/self/fd/${fd}`) === path && (flags & constants.O_DIRECT) !== 0;
    } catch {
      return false;
    }
  });
}

function canBeDirect(path: string): boolean {
  try {
    closeSync(openSync(path, constants.O_WRONLY | constants.O_DIRECT));
    return true;
  } catch {
    return false;
  }
}

const content = Buffer.concat([randomBytes(6 * CHUNK_BYTES), Buffer.alloc(3 * CHUNK_BYTES), randomBytes(2 * CHUNK_BYTES + 777)]);

describe.each([
  ['past the page cache', always('direct')],
  ['through the page cache', always('plain')],
  ['as is faster', undefined],
])('%s', (_name, pace) => {
  test.each([0, 512, 4096, 7])('a file holds what was written, with chunks that begin %i bytes later', async (skip) => {
    const directory = temporaryDirectory();
    const path = join(directory, 'file');
    const file = await DirectFile.open(path, pace === undefined ? {} : { pace });
    expect(await writeBehind(file, path, chunks(content, skip))).toBe(content.byteLength);
    expect(isOpenDirect(path)).toBe(pace?.way === 'direct' && skip % 512 === 0 && canBeDirect(path));
    await file.close();
    expect(readFileSync(path).equals(content)).toBe(true);
    expect(openFiles(directory)).toEqual([]);
  });
});

test('a file is gone on with where it ended', async () => {
  const path = join(temporaryDirectory(), 'file');
  for (const [from, to] of [
    [0, 2 * CHUNK_BYTES],
    [2 * CHUNK_BYTES, content.byteLength],
  ] as const) {
    const file = await DirectFile.open(path, { pace: always('direct') });
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
