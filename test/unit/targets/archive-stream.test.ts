import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, readlink, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { bytesSource } from '../../../src/blob-source.ts';
import { describe } from '../../../src/oci/descriptor.ts';
import { openArchive } from '../../../src/targets/archive.ts';
import { type ArchivedBlob, archiveStream, writeArchiveFile } from '../../../src/targets/archive-stream.ts';
import { EMPTY_INDEX } from '../../../src/targets/layout-index.ts';

let directory: string;
let file: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ocikit-stream-'));
  file = join(directory, 'a.tar');
});
afterEach(async () => {
  await rm(directory, { recursive: true });
});

const archived = (text: string | Buffer, sent: string | Buffer = text): ArchivedBlob => ({
  blob: describe('x/y', Buffer.from(text)),
  open: () => bytesSource(Buffer.from(sent)).open(),
});

async function bytesOf(blobs: readonly ArchivedBlob[]): Promise<Buffer> {
  return Buffer.concat((await Array.fromAsync(archiveStream(EMPTY_INDEX, blobs))).map((chunk) => Buffer.from(chunk)));
}

test('the order of the blobs makes no difference, nor does the clock', async () => {
  const blobs = ['a', 'b', 'c', ''].map((text) => archived(text));
  expect(await bytesOf(blobs)).toEqual(await bytesOf(blobs.toReversed()));
});

test('a file is what the stream was, with its zeros, and can be opened', async () => {
  const blobs = [archived(Buffer.alloc(3_000_000)), archived(Buffer.alloc(2_500_001, 7)), archived('small')];
  const expected = await bytesOf(blobs);
  expect(await writeArchiveFile(file, archiveStream(EMPTY_INDEX, blobs))).toBe(expected.byteLength);
  expect((await readFile(file)).equals(expected)).toBe(true);
  const archive = await openArchive(file);
  for (const { blob } of blobs) expect(await archive.has(blob)).toBe(true);
});

test.each([
  ['another content', 'b', 'DIGEST_MISMATCH'],
  ['too little', '', 'SIZE_MISMATCH'],
  ['too much', 'aa', 'SIZE_MISMATCH'],
])('a blob with %s stops it, and the file that was there stays', async (_, sent, code) => {
  await writeFile(file, 'before');
  await expect(writeArchiveFile(file, archiveStream(EMPTY_INDEX, [archived('a', sent)]))).rejects.toMatchObject({ code });
  expect(await readFile(file, 'utf8')).toBe('before');
  expect(await readdir(directory)).toEqual(['a.tar']);
});

test('folders on the way are made, and a link stays one', async () => {
  await writeArchiveFile(join(directory, 'x/y/b.tar'), archiveStream(EMPTY_INDEX, []));
  await symlink('x/y/b.tar', file);
  await writeArchiveFile(file, archiveStream(EMPTY_INDEX, [archived('a')]));
  expect(await readlink(file)).toBe('x/y/b.tar');
  expect((await openArchive(join(directory, 'x/y/b.tar'))).can.tags).toBeDefined();
  expect(await readdir(join(directory, 'x/y'))).toEqual(['b.tar']);
});

test('a folder, a pipe and a device are not replaced', async () => {
  const fifo = join(directory, 'fifo');
  const paths = [join(directory, 'folder'), '/dev/null', ...(spawnSync('mkfifo', [fifo]).status === 0 ? [fifo] : [])];
  await mkdir(join(directory, 'folder'));
  for (const path of paths) await expect(writeArchiveFile(path, archiveStream(EMPTY_INDEX, []))).rejects.toMatchObject({ code: 'USAGE' });
});
