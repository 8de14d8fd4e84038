import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { bytesSource } from '../../../src/blob-source.ts';
import { describe } from '../../../src/oci/descriptor.ts';
import { digestOf } from '../../../src/oci/digest.ts';
import { BlobDirectory } from '../../../src/targets/blob-directory.ts';

let root: string;
let blobs: BlobDirectory;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'blob-upload-'));
  blobs = new BlobDirectory(root);
});
afterEach(() => rm(root, { recursive: true, force: true }));

const TEXT = Buffer.from('0123456789');
const blob = describe('application/octet-stream', TEXT);
const ingest = async (): Promise<string[]> => await readdir(join(root, 'ingest')).catch(() => []);

async function* parts(...texts: readonly string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield await Promise.resolve(Buffer.from(text));
}

async function* broken(): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(Buffer.from('01'));
  throw new Error('the source broke');
}

test('pieces become a blob that is known to be sound', async () => {
  const upload = await blobs.beginUpload();
  expect(await ingest()).toEqual([]);
  await upload.append(parts('01', '234'));
  expect(upload.size).toBe(5);
  await upload.append(parts());
  await upload.append(parts('56789'));
  expect(await blobs.has(blob)).toBe(false);
  await upload.commit(blob.digest);
  expect(await blobs.has(blob)).toBe(true);
  expect(await ingest()).toEqual([]);
});

test.each(['sha256', 'sha512'] as const)('a digest of another algorithm than was expected: %s', async (expected) => {
  const upload = await blobs.beginUpload(expected);
  await upload.append(parts('0123456789'));
  const digest = digestOf(TEXT, expected === 'sha256' ? 'sha512' : 'sha256');
  await upload.commit(digest);
  expect(await blobs.has({ ...blob, digest })).toBe(true);
});

test('nothing is a blob too', async () => {
  const empty = describe('application/octet-stream', Buffer.alloc(0));
  await (await blobs.beginUpload()).commit(empty.digest);
  expect(await blobs.has(empty)).toBe(true);
});

test('content with another digest is gone, and so is the upload', async () => {
  const upload = await blobs.beginUpload();
  await upload.append(parts('something else'));
  await expect(upload.commit(blob.digest)).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
  await expect(upload.append(parts('x'))).rejects.toThrow('ended');
  expect([await blobs.has(blob), await ingest()]).toEqual([false, []]);
});

test('one that is there already stays as it is', async () => {
  await blobs.push(blob, bytesSource(TEXT));
  const upload = await blobs.beginUpload();
  await upload.append(parts('0123456789'));
  await upload.commit(blob.digest);
  expect([await blobs.has(blob), await ingest()]).toEqual([true, []]);
});

test('an error of the source, or of the disk, ends it', async () => {
  const upload = await blobs.beginUpload();
  await expect(upload.append(broken())).rejects.toThrow('the source broke');
  expect(await ingest()).toEqual([]);
  const other = await blobs.beginUpload();
  await rm(join(root, 'ingest'), { recursive: true });
  await writeFile(join(root, 'ingest'), '');
  await expect(other.append(parts('01'))).rejects.toMatchObject({ code: 'PATH_NOT_FOUND' });
  await rm(join(root, 'ingest'));
  await mkdir(join(root, 'ingest'));
});
