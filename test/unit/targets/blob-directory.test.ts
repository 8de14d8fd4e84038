import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat, symlink, truncate, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type BlobSource, type ByteRange, bytesSource } from '../../../src/blob-source.ts';
import { KitError } from '../../../src/errors.ts';
import type { KitEvent } from '../../../src/events.ts';
import { describe, type Descriptor } from '../../../src/oci/descriptor.ts';
import { digestHex } from '../../../src/oci/digest.ts';
import { BlobDirectory } from '../../../src/targets/blob-directory.ts';
import { tryLock } from '../../../src/targets/lock.ts';

const BYTES = Buffer.from(Array.from({ length: 5000 }, (_, index) => (index * 7) % 251));
const BLOB = describe('application/octet-stream', BYTES);
const PARTIAL = `sha256-${digestHex(BLOB.digest)}.partial`;
let root: string;
let blobs: BlobDirectory;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'ocikit-blobs-'));
  blobs = new BlobDirectory(root, { stampFile: join(root, 'verified-blobs') });
});
afterEach(async () => {
  await rm(root, { recursive: true });
});

/** A source that notes the ranges it is opened with and fails after `failAfter` bytes. */
function watched(bytes: Buffer, failAfter = Infinity): BlobSource & { opened: (ByteRange | undefined)[] } {
  const opened: (ByteRange | undefined)[] = [];
  return {
    opened,
    size: bytes.length,
    async *open(range) {
      opened.push(range);
      let sent = 0;
      for (let at = range?.start ?? 0; at < (range?.end ?? bytes.length); at += 100) {
        if (sent >= failAfter) throw await Promise.resolve(new KitError('NETWORK', 'the connection broke'));
        sent += 100;
        yield bytes.subarray(at, at + 100);
      }
    },
  };
}

async function ingest(): Promise<string[]> {
  return await readdir(join(root, 'ingest'));
}

async function damage(blob: Descriptor): Promise<void> {
  const path = blobs.pathOf(blob.digest);
  const bytes = await readFile(path);
  bytes[0] = (bytes[0] ?? 0) ^ 1;
  await writeFile(path, bytes);
}

function warnings(events: readonly KitEvent[]): string[] {
  return events.flatMap((event) => (event.type === 'warning' ? [event.code] : []));
}

test('a broken transfer goes on where it ended', async () => {
  const broken = watched(BYTES, 2000);
  await expect(blobs.push(BLOB, broken)).rejects.toMatchObject({ code: 'NETWORK' });
  expect(await ingest()).toEqual([PARTIAL]);
  expect(await blobs.has(BLOB)).toBe(false);

  const whole = watched(BYTES);
  await new BlobDirectory(root).push(BLOB, whole);
  expect(whole.opened).toEqual([{ start: 2000, end: 5000 }]);
  expect(await readFile(blobs.pathOf(BLOB.digest))).toEqual(BYTES);
  expect(await ingest()).toEqual([]);
});

test('a part that is complete already is not fetched again', async () => {
  await mkdir(join(root, 'ingest'));
  await writeFile(join(root, 'ingest', PARTIAL), BYTES);
  const source = watched(BYTES);
  await blobs.push(BLOB, source);
  expect(source.opened).toEqual([]);
  expect(await blobs.has(BLOB)).toBe(true);
});

test.each([
  ['wrong', Buffer.alloc(2000), [{ start: 2000, end: 5000 }, undefined]],
  ['wrong and complete', Buffer.alloc(5000), [undefined]],
  ['too long', Buffer.alloc(6000), [undefined]],
])('a part that is %s is replaced in one more attempt', async (_, part, opened) => {
  await mkdir(join(root, 'ingest'));
  await writeFile(join(root, 'ingest', PARTIAL), part);
  const source = watched(BYTES);
  await blobs.push(BLOB, source);
  expect(source.opened).toEqual(opened);
  expect(await readFile(blobs.pathOf(BLOB.digest))).toEqual(BYTES);
  expect(await ingest()).toEqual([]);
});

test('wrong content leaves no part behind, also when one was found', async () => {
  const wrong = watched(Buffer.alloc(5000));
  await expect(blobs.push(BLOB, wrong)).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
  expect(wrong.opened).toEqual([undefined]);
  expect(await ingest()).toEqual([]);
  await writeFile(join(root, 'ingest', PARTIAL), Buffer.alloc(300));
  await expect(blobs.push(BLOB, wrong)).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
  expect(wrong.opened).toHaveLength(3);
  expect(await ingest()).toEqual([]);
});

test('a part that another process writes is left alone', async () => {
  await mkdir(join(root, 'ingest'));
  const part = join(root, 'ingest', PARTIAL);
  await writeFile(part, BYTES.subarray(0, 1234));
  const claim = await tryLock(`${part}.lock`);
  const source = watched(BYTES);
  await blobs.push(BLOB, source);
  expect(source.opened).toEqual([undefined]);
  expect(await blobs.has(BLOB)).toBe(true);
  expect(await readFile(part)).toEqual(BYTES.subarray(0, 1234));
  await claim?.release();
});

test('pushes of one digest at the same time read one source', async () => {
  const sources = [watched(BYTES), watched(BYTES), watched(BYTES)];
  await Promise.all(
    sources.map(async (source) => {
      await blobs.push(BLOB, source);
    }),
  );
  expect(sources.map(({ opened }) => opened.length)).toEqual([1, 0, 0]);
});

test('when the first of several pushes fails, the next one takes over', async () => {
  const broken = watched(BYTES, 1000);
  const whole = watched(BYTES);
  const [first, second] = await Promise.allSettled([blobs.push(BLOB, broken), blobs.push(BLOB, whole)]);
  expect([first.status, second.status]).toEqual(['rejected', 'fulfilled']);
  expect(whole.opened).toEqual([{ start: 1000, end: 5000 }]);
});

test('a blob whose content was changed is moved away, named in a warning, and can be pushed anew', async () => {
  await blobs.push(BLOB, bytesSource(BYTES));
  await damage(BLOB);
  const events: KitEvent[] = [];
  expect(await blobs.has(BLOB, { onEvent: (event) => events.push(event) })).toBe(false);
  expect(warnings(events)).toEqual(['STORE_BLOB_DAMAGED']);
  expect(await readdir(dirname(blobs.pathOf(BLOB.digest)))).toEqual([]);
  await blobs.push(BLOB, bytesSource(BYTES));
  expect(await blobs.has(BLOB)).toBe(true);
});

test.each(['with stamps of another process', 'without stamps'])('a changed blob is noticed %s', async (stamps) => {
  await blobs.push(BLOB, bytesSource(BYTES));
  await damage(BLOB);
  const other = new BlobDirectory(root, stamps.startsWith('without') ? {} : { stampFile: join(root, 'verified-blobs') });
  expect(await other.has(BLOB)).toBe(false);
});

test('a cut blob is noticed; a descriptor with the wrong size does not harm a sound one', async () => {
  await blobs.push(BLOB, bytesSource(BYTES));
  expect(await blobs.has({ ...BLOB, size: 1 })).toBe(false);
  expect(await blobs.has(BLOB)).toBe(true);
  await truncate(blobs.pathOf(BLOB.digest), 10);
  await expect(blobs.fetch(BLOB)).rejects.toMatchObject({ code: 'SIZE_MISMATCH' });
  expect(await blobs.has(BLOB)).toBe(false);
  expect(await blobs.sizeOf(BLOB.digest)).toBeUndefined();
});

test('what was verified is remembered, and believed by the next process without reading the blob', async () => {
  await blobs.push(BLOB, bytesSource(BYTES));
  const stampFile = join(root, 'verified-blobs');
  expect(await readFile(stampFile, 'utf8')).toMatch(new RegExp(`^${BLOB.digest} (\\d+ ){4}\\d+\\n$`));

  // a stamp that lies shows that the content is not looked at
  await damage(BLOB);
  const { dev, ino, size, mtimeNs, ctimeNs } = await stat(blobs.pathOf(BLOB.digest), { bigint: true });
  await writeFile(stampFile, `${BLOB.digest} ${dev} ${ino} ${size} ${mtimeNs} ${ctimeNs}\n`);
  expect(await new BlobDirectory(root, { stampFile }).has(BLOB)).toBe(true);
  expect(await new BlobDirectory(root).has(BLOB)).toBe(false);
});

test('a file that was touched is verified again and trusted from then on', async () => {
  await blobs.push(BLOB, bytesSource(BYTES));
  const before = await readFile(join(root, 'verified-blobs'), 'utf8');
  await utimes(blobs.pathOf(BLOB.digest), 1, 1);
  expect(await blobs.has(BLOB)).toBe(true);
  expect(await readFile(join(root, 'verified-blobs'), 'utf8')).not.toBe(before);
});

test('a stamp file with torn lines only costs hashing', async () => {
  await blobs.push(BLOB, bytesSource(BYTES));
  const good = await readFile(join(root, 'verified-blobs'), 'utf8');
  await writeFile(join(root, 'verified-blobs'), `${good.slice(0, 40)}\n\0\0\nsha256:zz 1 2 3 4 5\n${good.slice(0, -3)}`);
  expect(await new BlobDirectory(root, { stampFile: join(root, 'verified-blobs') }).has(BLOB)).toBe(true);
});

test('a link in place of a blob is followed only to the right content', async () => {
  await blobs.push(BLOB, bytesSource(BYTES));
  const path = blobs.pathOf(BLOB.digest);
  await rename(path, join(root, 'elsewhere'));
  await symlink(join(root, 'elsewhere'), path);
  expect(await blobs.has(BLOB)).toBe(true);
  await writeFile(join(root, 'elsewhere'), 'other');
  expect(await blobs.has(BLOB)).toBe(false);
});

test('a manifest beyond 4 MiB is refused before anything is read', async () => {
  const source = watched(BYTES);
  const huge: Descriptor = { ...BLOB, mediaType: 'application/vnd.oci.image.manifest.v1+json', size: 5 * 1024 * 1024 };
  await expect(blobs.push(huge, source)).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' });
  expect(source.opened).toEqual([]);
});
