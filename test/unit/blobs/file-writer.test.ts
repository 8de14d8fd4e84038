import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { writeBehind, writeNewFile } from '../../../src/blobs/file-writer.ts';
import { Chunks, openFiles, temporaryDirectory } from './workspace.ts';

test('a file holds what was read, in order', async () => {
  const file = join(temporaryDirectory(), 'file');
  const content = randomBytes(5_000_000);
  await writeNewFile(file, file, 0o640, new Chunks(content, 3001));
  expect(readFileSync(file).equals(content)).toBe(true);
  await expect(writeNewFile(file, 'the-name', 0o640, new Chunks(content, 3001))).rejects.toMatchObject({
    code: 'PATH_EXISTS',
    message: 'the-name already exists',
  });
});

test('writes that take only a part are continued', async () => {
  const content = randomBytes(300_000);
  const written: Buffer[] = [];
  const file = {
    async truncate() {},
    async writev(chunks: readonly Uint8Array[]) {
      await setImmediate();
      const taken = Buffer.concat(chunks).subarray(0, 777);
      written.push(taken);
      return { bytesWritten: taken.byteLength };
    },
  };
  await writeBehind(file, 'name', new Chunks(content, 500));
  expect(Buffer.concat(written).equals(content)).toBe(true);
});

test('a write that fails ends the source and is named', async () => {
  const source = new Chunks(randomBytes(10_000_000), 1000);
  const full = Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC', errno: -28 });
  await expect(writeBehind({ writev: () => Promise.reject(full), truncate: async () => {} }, 'model.bin', source)).rejects.toMatchObject({
    code: 'DISK_FULL',
    message: expect.stringContaining('model.bin') as unknown,
  });
  expect(source.ended).toBe(true);
  expect(source.asked).toBeLessThan(100);
});

test('an error of the source comes through, and the file is closed', async () => {
  const directory = temporaryDirectory();
  const failure = new Error('source');
  await expect(writeNewFile(join(directory, 'f'), 'f', 0o644, new Chunks(Buffer.alloc(100_000), 1000, failure))).rejects.toBe(failure);
  expect(openFiles(directory)).toEqual([]);
});

test('a slow disk holds the source back', async () => {
  const source = new Chunks(Buffer.alloc(64 * 1024 * 1024, 1), 64 * 1024);
  let release: (() => void) | undefined;
  const gate = new Promise<void>((resolve) => (release = resolve));
  const written: number[] = [];
  const writing = writeBehind(
    {
      async truncate() {},
      async writev(chunks) {
        await gate;
        const bytesWritten = chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0);
        written.push(bytesWritten);
        return { bytesWritten };
      },
    },
    'large',
    source,
  );
  for (let turn = 0; turn < 1000; turn++) await setImmediate();
  expect(source.asked * 64 * 1024).toBeLessThan(8 * 1024 * 1024);
  release?.();
  await writing;
  expect(source.ended).toBe(true);
  expect(written.reduce((sum, size) => sum + size, 0)).toBe(64 * 1024 * 1024);
});
