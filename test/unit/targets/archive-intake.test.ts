import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { pack } from 'tar-stream';
import { afterEach, beforeEach, describe as suite, expect, test } from 'vitest';
import { bytesSource } from '../../../src/blob-source.ts';
import type { KitEvent } from '../../../src/events.ts';
import { describe, type Descriptor } from '../../../src/oci/descriptor.ts';
import { digestHex } from '../../../src/oci/digest.ts';
import { MEDIA_TYPE } from '../../../src/oci/media-types.ts';
import { takeInArchive } from '../../../src/targets/archive-intake.ts';
import { BlobDirectory } from '../../../src/targets/blob-directory.ts';

let directory: string;
let blobs: BlobDirectory;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ocikit-intake-'));
  blobs = new BlobDirectory(directory);
});
afterEach(async () => {
  await rm(directory, { recursive: true });
});

interface Member {
  readonly name: string;
  readonly content: string | Buffer;
  readonly type?: 'file' | 'symlink' | 'directory';
}

const config = Buffer.from('{}');
const layer = Buffer.alloc(3_000_000, 7);
const descriptors = [describe('application/x.config', config), describe('application/x.layer', layer)] as const;
const manifestBytes = Buffer.from(JSON.stringify({ schemaVersion: 2, config: descriptors[0], layers: [descriptors[1]] }));
const manifest = describe(MEDIA_TYPE.imageManifest, manifestBytes);

const blobMember = ({ digest }: Descriptor, content: Buffer): Member => ({ name: `blobs/sha256/${digestHex(digest)}`, content });
const SMALL: readonly Member[] = [
  { name: 'oci-layout', content: '{"imageLayoutVersion":"1.0.0"}' },
  {
    name: 'index.json',
    content: JSON.stringify({ schemaVersion: 2, manifests: [{ ...manifest, annotations: { 'org.opencontainers.image.ref.name': 'v1' } }] }),
  },
];
const BLOBS = [blobMember(manifest, manifestBytes), blobMember(descriptors[0], config), blobMember(descriptors[1], layer)] as const;

async function tarOf(members: readonly Member[]): Promise<Buffer> {
  const archive = pack();
  void (async () => {
    for (const { name, content, type = 'file' } of members) {
      await new Promise((resolve) => archive.entry({ name, type, ...(type === 'symlink' ? { linkname: 'x' } : {}) }, content, resolve));
    }
    archive.finalize();
  })();
  return Buffer.concat(await Array.fromAsync(archive as AsyncIterable<Buffer>));
}

/** As a pipe hands it out: in pieces that end anywhere. */
async function* piped(bytes: Uint8Array, size = 65_536) {
  for (let at = 0; at < bytes.byteLength; at += size) yield await Promise.resolve(bytes.subarray(at, at + size));
}

const takeIn = async (bytes: Uint8Array, onEvent?: (event: KitEvent) => void) =>
  await takeInArchive(piped(bytes), 'standard input', blobs, onEvent === undefined ? {} : { onEvent });

suite('a stream', () => {
  test.each([
    ['small files first', [...SMALL, ...BLOBS]],
    ['blobs first, as skopeo and docker write it', [...BLOBS, ...SMALL]],
    [
      'with folders and other files',
      [{ name: 'blobs/', content: '', type: 'directory' as const }, ...BLOBS, { name: 'manifest.json', content: '[]' }, ...SMALL],
    ],
    ['with ./ before each name', [...SMALL, ...BLOBS].map((member) => ({ ...member, name: `./${member.name}` }))],
  ])('is taken in: %s', async (_, members) => {
    const layout = await takeIn(await tarOf(members));
    expect(await layout.resolve('v1')).toMatchObject(manifest);
    for (const blob of [manifest, ...descriptors]) expect(await blobs.has(blob)).toBe(true);
    expect(await readdir(join(directory, 'ingest')).catch(() => [])).toEqual([]);
  });

  test('that comes byte by byte, nearly', async () => {
    const small = [...SMALL, BLOBS[0], BLOBS[1]];
    const layout = await takeInArchive(piped(await tarOf(small), 7), 'x', blobs);
    expect(await layout.resolve('v1')).toMatchObject(manifest);
  });

  test('tells what it takes and what was there', async () => {
    await blobs.push(descriptors[0], bytesSource(config));
    const events: KitEvent[] = [];
    await takeIn(await tarOf([...SMALL, ...BLOBS]), (event) => events.push(event));
    const outcome = ({ digest }: Descriptor) => events.find((event) => event.type === 'done' && event.id === digest);
    expect(outcome(descriptors[0])).toMatchObject({ outcome: 'exists' });
    expect(outcome(descriptors[1])).toMatchObject({ outcome: 'copied' });
    const moved = events.reduce((sum, event) => sum + (event.type === 'bytes' ? event.delta : 0), 0);
    expect(moved).toBe(layer.byteLength + manifestBytes.byteLength);
  });

  test('sha512', async () => {
    const { createHash } = await import('node:crypto');
    const hex = createHash('sha512').update('long').digest('hex');
    await takeIn(await tarOf([...SMALL, { name: `blobs/sha512/${hex}`, content: 'long' }]));
    expect(await blobs.has({ mediaType: 'x/y', digest: `sha512:${hex}`, size: 4 })).toBe(true);
  });

  test('whose reader stops is closed', async () => {
    let closed = false;
    async function* endless() {
      try {
        for (;;) yield await Promise.resolve(Buffer.alloc(1024, 1));
      } finally {
        closed = true;
      }
    }
    await expect(takeInArchive(endless(), 'x', blobs)).rejects.toMatchObject({ code: 'STORE_INVALID' });
    expect(closed).toBe(true);
  });
});

suite('is refused', () => {
  test('a blob that is not what its name says, and its bytes are gone', async () => {
    const wrong = Buffer.from(layer);
    wrong[5] = 1;
    const taken = takeIn(await tarOf([...SMALL, blobMember(descriptors[1], wrong)]));
    await expect(taken).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
    expect(await blobs.has(descriptors[1])).toBe(false);
    expect(await readdir(join(directory, 'ingest')).catch(() => [])).toEqual([]);
    expect(await Array.fromAsync(blobs.list())).toEqual([]);
  });

  test.each<[string, string, readonly Member[]]>([
    ['a path out of it', 'UNSAFE_PATH', [...SMALL, { name: '../x', content: '' }]],
    ['a file twice', 'UNSAFE_ENTRY', [...SMALL, { name: './index.json', content: '{}' }]],
    ['a link', 'UNSAFE_ENTRY', [...SMALL, { name: 'blobs/sha256/x', content: '', type: 'symlink' }]],
    ['no oci-layout', 'STORE_INVALID', SMALL.slice(1)],
    ['no index.json', 'STORE_INVALID', SMALL.slice(0, 1)],
    ['a broken index.json', 'STORE_INVALID', [...SMALL.slice(0, 1), { name: 'index.json', content: '{' }]],
    ['an oci-layout without an end', 'STORE_INVALID', [{ name: 'oci-layout', content: ' '.repeat(5000) }]],
  ])('an archive with %s', async (_, code, members) => {
    await expect(takeIn(await tarOf(members))).rejects.toMatchObject({ code });
  });

  test.each<[string, (bytes: Buffer) => Buffer, string]>([
    ['that is cut off', (bytes) => bytes.subarray(0, 700_000), 'copied whole'],
    ['that is cut before its end', (bytes) => bytes.subarray(0, bytes.byteLength - 1024), 'copied whole'],
    ['that is empty', () => Buffer.alloc(0), 'what writes the archive'],
    ['of noise', () => Buffer.from('not a tar file '.repeat(100)), 'copied whole'],
    ['of gzip', (bytes) => gzipSync(bytes), 'gunzip'],
    ['of zstd', (bytes) => zstdCompressSync(bytes), 'unzstd'],
  ])('a stream %s', async (_, damage, hint) => {
    const bytes = damage(await tarOf([...SMALL, ...BLOBS]));
    await expect(takeIn(bytes)).rejects.toMatchObject({ code: 'STORE_INVALID', hint: expect.stringContaining(hint) as string });
  });
});
