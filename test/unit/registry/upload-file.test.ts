import { truncateSync } from 'node:fs';
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { BlobSource } from '../../../src/blob-source.ts';
import { fileBytes } from '../../../src/blobs/file-bytes.ts';
import type { FileToRead } from '../../../src/blobs/read-fully.ts';
import { tapped } from '../../../src/tapped.ts';
import { collect, connect, type Content, randomBlob } from '../../support/registry-client.ts';
import type { RegistryOptions } from '../../support/registry.ts';
import { hasOpenssl, selfSigned } from '../../support/self-signed.ts';
import { openFiles } from '../blobs/workspace.ts';

const MiB = 1024 * 1024;
// more than the sockets hold, and no whole number of pieces
const SIZE = 24 * MiB + 4711;

let folder: string;
let path: string;
let content: Content;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'upload-file-'));
  path = join(folder, 'blob');
  content = randomBlob(SIZE);
  await writeFile(path, content.bytes);
});
afterAll(async () => await rm(folder, { recursive: true }));

async function opened(): Promise<FileToRead> {
  return { handle: await open(path), failed: (error) => error, cutOff: (position) => new Error(`cut off at ${position}`) };
}

function fromFile(): BlobSource {
  return { size: SIZE, open: (range, signal) => fileBytes(opened, range ?? { start: 0, end: SIZE }, signal) };
}

const network = (secure: boolean) => (host: string) => ({
  stallTimeoutMs: 400,
  ...(secure ? { plainHttp: false, registries: [{ host, tlsVerify: false }] } : {}),
});
async function registry(secure: boolean, behaviour: NonNullable<RegistryOptions['behaviour']>): Promise<RegistryOptions> {
  return secure ? { behaviour, tls: await selfSigned() } : { behaviour };
}

describe.skipIf(!hasOpenssl).each([false, true])('a file, over TLS: %s', (secure) => {
  test('arrives whole, most of it through one piece of memory', async () => {
    const { target } = await connect(await registry(secure, {}), network(secure));
    const memories = new Set<ArrayBufferLike>();
    let now = 0;
    const source: BlobSource = {
      ...fromFile(),
      open: (range, signal) => {
        const bytes = fromFile().open(range, signal);
        const iterator = bytes[Symbol.asyncIterator]();
        const readNow = (piece: Uint8Array): number => {
          const count = iterator.readNow?.(piece) ?? 0;
          if (count > 0) memories.add(piece.buffer);
          now += count;
          return count;
        };
        return { [Symbol.asyncIterator]: () => ({ next: () => iterator.next(), return: () => iterator.return?.() as never, readNow }) };
      },
    };
    await target.push(content.blob, source);
    expect((await collect(await target.fetch(content.blob))).equals(content.bytes)).toBe(true);
    expect(memories.size).toBeLessThan(2);
    expect(now > 0).toBe(memories.size === 1);
    expect(openFiles(path)).toEqual([]);
  });

  test('goes again when the connection breaks', async () => {
    const { target, delays } = await connect(await registry(secure, { cutUploads: [9 * MiB] }), network(secure));
    await target.push(content.blob, fromFile());
    expect(delays).toHaveLength(1);
    expect((await collect(await target.fetch(content.blob))).equals(content.bytes)).toBe(true);
    expect(openFiles(path)).toEqual([]);
  });

  test('goes again when the socket takes no more', async () => {
    const { target, delays } = await connect(await registry(secure, { stallUploads: [9 * MiB] }), network(secure));
    await target.push(content.blob, fromFile());
    expect(delays).toHaveLength(1);
    expect((await collect(await target.fetch(content.blob))).equals(content.bytes)).toBe(true);
  });

  test('in chunks goes on where it was', async () => {
    const { target, registry: server } = await connect(await registry(secure, { cutUploads: [9 * MiB], keepsBroken: true }), (host) => ({
      ...network(secure)(host),
      chunkSizes: { [host]: 16 * MiB },
    }));
    await target.push(content.blob, fromFile());
    expect(server.requests.reduce((sum, { received }) => sum + received, 0)).toBeLessThan(SIZE + 16 * MiB);
    expect((await collect(await target.fetch(content.blob))).equals(content.bytes)).toBe(true);
  });

  test('that ends early is an error that says where, with nothing left open', async () => {
    const { target, registry: server } = await connect(await registry(secure, {}), network(secure));
    let sent = 0;
    const source: BlobSource = {
      ...fromFile(),
      open: (range, signal) =>
        tapped(fromFile().open(range, signal), {
          taken: (count) => {
            if ((sent += count) >= 8 * MiB) truncateSync(path, 12 * MiB);
          },
        }),
    };
    await expect(target.push(content.blob, source)).rejects.toThrow(/cut off at 12582912/);
    expect(await target.has(content.blob)).toBe(false);
    expect(server.storage.uploads.size).toBe(0);
    await writeFile(path, content.bytes);
    expect(openFiles(path)).toEqual([]);
  });

  test('is let go when the caller stops', async () => {
    const stop = new AbortController();
    const { target } = await connect(await registry(secure, {}), network(secure));
    const source: BlobSource = {
      ...fromFile(),
      open: (range, signal) => tapped(fromFile().open(range, signal), { taken: () => stop.abort(new Error('enough')) }),
    };
    await expect(target.push(content.blob, source, { signal: stop.signal })).rejects.toThrow('enough');
    await expect.poll(() => openFiles(path)).toEqual([]);
  });
});
