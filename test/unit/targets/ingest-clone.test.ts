import { copyFile, mkdir, mkdtemp, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { rawLayer } from '../../../src/blobs/layer.ts';
import type { BlobSource } from '../../../src/blob-source.ts';
import { openContext, walkLayer } from '../../../src/blobs/walk.ts';
import { digestOf } from '../../../src/oci/digest.ts';
import { BlobDirectory } from '../../../src/targets/blob-directory.ts';

let work: string;
beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), 'ingest-clone-'));
});
afterAll(async () => {
  await rm(work, { recursive: true });
});

const CONTENT = Buffer.alloc(3_000_000, 'model');
const OTHER = Buffer.alloc(CONTENT.length, 'other');

/** A source whose clone holds CONTENT, whatever `open` reads. */
async function clonedSource(read: Uint8Array, matches: boolean): Promise<{ source: BlobSource; asked: () => number }> {
  const file = join(work, 'cloned');
  await writeFile(file, CONTENT);
  let asked = 0;
  const source: BlobSource = {
    size: read.byteLength,
    async *open() {
      yield read;
    },
    cloneTo: async (path) => {
      await copyFile(file, path);
      return true;
    },
    matchesClone: async () => {
      asked += 1;
      return matches;
    },
  };
  return { source, asked: () => asked };
}

test('a clone has the digest of what was read when the source proves that it is the same', async () => {
  const { source, asked } = await clonedSource(CONTENT, true);
  const blob = await new BlobDirectory(join(work, 'proved')).pushUnhashed('x/y', source);
  expect(blob).toMatchObject({ digest: digestOf(CONTENT), size: CONTENT.length });
  expect(asked()).toBe(1);
});

test('a clone is hashed itself when the file may have changed since', async () => {
  const { source } = await clonedSource(OTHER, false);
  const blob = await new BlobDirectory(join(work, 'unproved')).pushUnhashed('x/y', source);
  expect(blob.digest).toBe(digestOf(CONTENT));
});

test('a file proves its clone only while its stamp is an old one', async () => {
  const folder = join(work, 'folder');
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder);
  const path = join(folder, 'model.bin');
  await writeFile(path, CONTENT);
  const [entry] = walkLayer(openContext(folder), 'model.bin', () => 'keep').filter(({ type }) => type === 'file');
  if (entry === undefined) throw new Error('nothing was walked');
  const layer = rawLayer(entry);
  await layer.cloneTo?.(join(work, 'clone'));
  await writeFile(path, OTHER);
  await utimes(path, new Date(), new Date(Number(entry.stamp.mtimeNs) / 1e6));
  expect(await layer.matchesClone?.()).toBe(false);
});
