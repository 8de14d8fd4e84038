import { mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pack } from 'tar-stream';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { bytesSource } from '../../../src/blob-source.ts';
import { describe, type Descriptor } from '../../../src/oci/descriptor.ts';
import { digestHex } from '../../../src/oci/digest.ts';
import { openArchive } from '../../../src/targets/archive.ts';
import { pushSample, type Sample } from './sample.ts';

let directory: string;
let file: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ocikit-archive-'));
  file = join(directory, 'a.tar');
});
afterEach(async () => {
  await rm(directory, { recursive: true });
});

async function write(name: string, tag: string): Promise<Sample> {
  await using archive = await openArchive(file, { create: true });
  const sample = await pushSample(archive, name);
  await archive.tag(sample.manifest, tag);
  await archive.commit();
  return sample;
}

interface Member {
  readonly name: string;
  readonly content?: string;
  readonly type?: 'file' | 'symlink' | 'link' | 'directory';
}

/** A tar file with whatever is asked for. */
async function writeTar(members: readonly Member[]): Promise<Buffer> {
  const archive = pack();
  for (const { name, content = '', type = 'file' } of members)
    archive.entry({ name, type, ...(type.endsWith('link') ? { linkname: 'x' } : {}) }, content);
  archive.finalize();
  const bytes = Buffer.concat(await Array.fromAsync(archive as AsyncIterable<Buffer>));
  await writeFile(file, bytes);
  return bytes;
}

const LAYOUT: readonly Member[] = [
  { name: 'oci-layout', content: '{"imageLayoutVersion":"1.0.0"}' },
  { name: 'index.json', content: '{"schemaVersion":2,"manifests":[]}' },
];

test('what was committed is there for the next reader', async () => {
  const { manifest, bytes, layers } = await write('a', 'v1');
  const archive = await openArchive(file);
  expect(await archive.resolve('v1')).toMatchObject(manifest);
  expect(await archive.resolveOnly()).toEqual(manifest);
  expect(Buffer.concat(await Array.fromAsync(await archive.fetch(manifest)))).toEqual(bytes);
  const [layer] = layers;
  expect(
    layer !== undefined && Buffer.concat(await Array.fromAsync(await archive.fetch(layer, { range: { start: 2, end: 5 } }))).toString(),
  ).toBe('yer');
  expect(await readdir(directory)).toEqual(['a.tar']);
});

test('the same content gives the same bytes, in whatever order it came', async () => {
  await write('a', 'v1');
  await write('b', 'v2');
  const once = await readFile(file);
  await write('a', 'v1');
  expect(await readFile(file)).toEqual(once);
});

test('a commit adds to what was there', async () => {
  const a = await write('a', 'v1');
  const b = await write('b', 'v2');
  const archive = await openArchive(file);
  expect(await Array.fromAsync(archive.can.tags?.() ?? [])).toEqual(['v1', 'v2']);
  for (const blob of [a.manifest, a.config, ...a.layers, b.manifest, b.config, ...b.layers]) expect(await archive.has(blob)).toBe(true);
});

test('nothing changes without a commit', async () => {
  await write('a', 'v1');
  const before = await readFile(file);
  {
    await using archive = await openArchive(file);
    await pushSample(archive, 'b');
    expect((await readdir(directory)).length).toBe(2);
  }
  expect(await readFile(file)).toEqual(before);
  expect(await readdir(directory)).toEqual(['a.tar']);
});

test('an archive to be made does not exist before its commit', async () => {
  await expect(openArchive(file)).rejects.toMatchObject({ code: 'PATH_NOT_FOUND' });
  const archive = await openArchive(file, { create: true });
  await pushSample(archive, 'a');
  expect(await readdir(directory)).not.toContain('a.tar');
  await archive.discard();
  expect(await readdir(directory)).toEqual([]);
});

test('a removed manifest is gone from the next file, its entry and its blob', async () => {
  const { manifest } = await write('a', 'v1');
  await using archive = await openArchive(file);
  await archive.can.remove?.(manifest);
  await archive.commit();
  const again = await openArchive(file);
  expect(await again.entries()).toEqual([]);
  await expect(again.resolve(manifest.digest)).rejects.toMatchObject({ code: 'REFERENCE_NOT_FOUND' });
});

test('a damaged blob counts as missing, and stops a commit that would carry it on', async () => {
  const { layers } = await write('a', 'v1');
  const bytes = await readFile(file);
  bytes[bytes.indexOf('layer of a')] = 0;
  await writeFile(file, bytes);
  await using archive = await openArchive(file);
  const [layer] = layers;
  expect(layer !== undefined && (await archive.has(layer))).toBe(false);
  await expect(archive.commit()).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
  expect(await readFile(file)).toEqual(bytes);
  if (layer !== undefined) await archive.push(layer, bytesSource(Buffer.from('layer of a')));
  await archive.commit();
  expect(layer !== undefined && (await (await openArchive(file)).has(layer))).toBe(true);
});

test('a file that changes under a reader is noticed', async () => {
  const { config } = await write('a', 'v1');
  const archive = await openArchive(file);
  const bytes = await archive.fetch(config);
  await utimes(file, 1, 1);
  await expect(Array.fromAsync(bytes)).rejects.toMatchObject({ code: 'SOURCE_CHANGED' });
});

test.each<[string, string, readonly Member[]]>([
  ['a path out of it', 'UNSAFE_PATH', [...LAYOUT, { name: '../x' }]],
  ['a path out of it within', 'UNSAFE_PATH', [...LAYOUT, { name: 'blobs/../../x' }]],
  ['an absolute path', 'UNSAFE_PATH', [...LAYOUT, { name: '/etc/passwd' }]],
  ['a file twice', 'UNSAFE_ENTRY', [...LAYOUT, ...LAYOUT]],
  ['a file twice under two names', 'UNSAFE_ENTRY', [...LAYOUT, { name: './index.json' }]],
  ['a symbolic link', 'UNSAFE_ENTRY', [...LAYOUT, { name: 'blobs/sha256/x', type: 'symlink' }]],
  ['a hard link', 'UNSAFE_ENTRY', [...LAYOUT, { name: 'blobs/sha256/x', type: 'link' }]],
  ['no oci-layout', 'STORE_INVALID', LAYOUT.slice(1)],
  ['no index.json', 'STORE_INVALID', LAYOUT.slice(0, 1)],
  ['a broken index.json', 'STORE_INVALID', [...LAYOUT.slice(0, 1), { name: 'index.json', content: '{' }]],
])('an archive with %s is refused', async (_, code, members) => {
  await writeTar(members);
  await expect(openArchive(file)).rejects.toMatchObject({ code });
});

test('names with ./ and directories, as tar writes them', async () => {
  const config = Buffer.from('{}');
  const blob = describe('application/vnd.oci.empty.v1+json', config);
  await writeTar([
    { name: './', type: 'directory' },
    ...LAYOUT.map((member) => ({ ...member, name: `./${member.name}` })),
    { name: './blobs/', type: 'directory' },
    { name: `./blobs/sha256/${digestHex(blob.digest)}`, content: '{}' },
    { name: './manifest.json', content: '[]' },
  ]);
  expect(await (await openArchive(file)).has(blob)).toBe(true);
});

test.each<[string, (bytes: Buffer) => Buffer]>([
  ['cut within a file', (bytes) => bytes.subarray(0, 600)],
  ['cut within a header', (bytes) => bytes.subarray(0, 1100)],
  ['of zeros', () => Buffer.alloc(4096)],
  ['that is empty', () => Buffer.alloc(0)],
  ['of noise', () => Buffer.from('not a tar file '.repeat(100))],
  ['that is compressed', (bytes) => gzipSync(bytes)],
])('a file %s is refused', async (_, damage) => {
  await writeFile(file, damage(await writeTar(LAYOUT)));
  await expect(openArchive(file)).rejects.toMatchObject({ code: 'STORE_INVALID' });
});

test('a directory is no archive', async () => {
  await expect(openArchive(directory)).rejects.toMatchObject({ code: 'STORE_INVALID', hint: expect.stringContaining('oci:') as string });
});

test('sha512 blobs, whose names need the prefix of a tar header', async () => {
  const { createHash } = await import('node:crypto');
  const bytes = Buffer.from('long');
  const blob: Descriptor = { ...describe('text/plain', bytes), digest: `sha512:${createHash('sha512').update(bytes).digest('hex')}` };
  await using archive = await openArchive(file, { create: true });
  await archive.push(blob, bytesSource(bytes));
  await archive.commit();
  expect(await (await openArchive(file)).has(blob)).toBe(true);
});
