import { randomBytes } from 'node:crypto';
import { appendFileSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { DirectFile } from '../../../src/blobs/direct-file.ts';
import { extractTar } from '../../../src/blobs/extract.ts';
import { fileBytes } from '../../../src/blobs/file-bytes.ts';
import { stampOf } from '../../../src/blobs/file-stamp.ts';
import { writeBehind } from '../../../src/blobs/file-writer.ts';
import { tarLayer } from '../../../src/blobs/layer.ts';
import { Staging } from '../../../src/blobs/staging.ts';
import { verified } from '../../../src/blobs/verified.ts';
import type { WalkEntry } from '../../../src/blobs/walk.ts';
import type { Bytes } from '../../../src/blob-source.ts';
import { joinThread } from '../../../src/byte-thread.ts';
import { CHUNK_BYTES } from '../../../src/chunk.ts';
import type { Descriptor } from '../../../src/oci/descriptor.ts';
import { digestOf } from '../../../src/oci/digest.ts';
import { tapped } from '../../../src/tapped.ts';
import { BlobDirectory } from '../../../src/targets/blob-directory.ts';
import { collect, openFiles, paths, temporaryDirectory } from './workspace.ts';

const MIB = 1024 * 1024;
/** With a hole in it, and one at its end. */
const content = Buffer.concat([randomBytes(5 * MIB + 7), Buffer.alloc(9 * MIB), randomBytes(4 * MIB + 333), Buffer.alloc(3 * MIB)]);

/** As if each processor were hashing something: then what is hashed is moved. */
async function keepThreadsBusy(): Promise<void> {
  const threads = await Promise.all(Array.from({ length: availableParallelism() }, async () => await joinThread('stream')));
  onTestFinished(() => {
    for (const thread of threads) thread.members.stream -= 1;
  });
}

function entry(source: string, path: string): WalkEntry {
  const stats = statSync(source, { bigint: true });
  return { path, source, type: 'file', size: Number(stats.size), mode: 0o644, stamp: stampOf(stats) };
}

/** The bytes, with a count of those that were handed out: the others were moved. */
function watched(bytes: Bytes): { readonly bytes: Bytes; handedOut: number } {
  const watch = {
    handedOut: 0,
    bytes: {
      [Symbol.asyncIterator]: () => {
        const inner = bytes[Symbol.asyncIterator]();
        return {
          next: async () => {
            const step = await inner.next();
            if (step.done !== true) watch.handedOut += step.value.byteLength;
            return step;
          },
          move: async (move: Parameters<NonNullable<typeof inner.move>>[0]) => await inner.move?.(move),
          return: async () => (await inner.return?.()) ?? { done: true as const, value: undefined },
        };
      },
    },
  };
  return watch;
}

const described = (bytes: Uint8Array): Descriptor => ({ mediaType: 'x', digest: digestOf(bytes), size: bytes.byteLength });

function blobFile(path: string, signal?: AbortSignal): Bytes {
  const { size } = statSync(path);
  const file = async () => ({
    handle: await open(path),
    failed: (cause: unknown) => new Error('reading failed', { cause }),
    cutOff: (position: number) => new Error(`cut off at ${position}`),
  });
  return fileBytes(file, { start: 0, end: size }, signal);
}

let directory: string;
let source: string;
beforeEach(() => {
  directory = temporaryDirectory();
  source = join(directory, 'source');
  writeFileSync(source, content);
});

const always = (way: 'plain' | 'direct') => ({ way, begin() {}, end() {} });

describe.each([
  ['another thread writes', true, always('plain')],
  ['another thread reads, for writes past the page cache', true, always('direct')],
  ['nothing is moved', false, always('plain')],
])('%s', (_name, isBusy, pace) => {
  beforeEach(async () => {
    if (isBusy) await keepThreadsBusy();
  });

  async function write(bytes: Bytes): Promise<string> {
    const path = join(directory, 'copy');
    const file = await DirectFile.open(path, { exclusive: true, pace });
    try {
      await writeBehind(file, 'the copy', bytes);
    } finally {
      await file.close();
    }
    return path;
  }

  test('a file is what was verified, with the holes that it had', async () => {
    const watch = watched(blobFile(source));
    const copy = await write(verified(watch.bytes, described(content)));
    expect(readFileSync(copy).equals(content)).toBe(true);
    expect(statSync(copy).blocks * 512).toBeLessThan(13 * MIB);
    // the first chunk begins the thread
    expect(watch.handedOut).toBeLessThan(isBusy ? 3 * MIB : content.byteLength + 1);
    expect(openFiles(directory)).toEqual([]);
  });

  test('another digest is told at the end', async () => {
    const other = { ...described(content), digest: digestOf(Buffer.from('other')) };
    await expect(write(verified(blobFile(source), other))).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
    expect(openFiles(directory)).toEqual([]);
  });

  test('more bytes than were announced are refused', async () => {
    const smaller = { ...described(content), size: 14 * MIB };
    await expect(write(verified(blobFile(source), smaller))).rejects.toMatchObject({ code: 'SIZE_MISMATCH' });
    expect(openFiles(directory)).toEqual([]);
  });

  test('a file that is cut off meanwhile is told by its reader', async () => {
    const bytes = tapped(verified(blobFile(source), described(content)), { handing: () => truncateSync(source, 3 * MIB) });
    await expect(write(bytes)).rejects.toThrow(`cut off at ${3 * MIB}`);
    expect(openFiles(directory)).toEqual([]);
  });

  test('what looks on may end it', async () => {
    let seen = 0;
    const look = (count: number): void => {
      seen += count;
      if (seen > 6 * MIB) throw new Error('enough');
    };
    await expect(write(tapped(verified(blobFile(source), described(content)), { handing: look }))).rejects.toThrow('enough');
    expect(seen).toBeLessThan(11 * MIB);
    expect(openFiles(directory)).toEqual([]);
  });

  test('it can be aborted between two steps', async () => {
    const abort = new AbortController();
    let seen = 0;
    const look = (count: number): void => {
      seen += count;
      if (seen > 3 * MIB) abort.abort(new Error('no more'));
    };
    await expect(write(tapped(verified(blobFile(source, abort.signal), described(content)), { handing: look }))).rejects.toThrow('no more');
    expect(openFiles(directory)).toEqual([]);
  });

  test('a blob is packed of files, and its digest is that of what was written', async () => {
    const layer = tarLayer([entry(source, 'a.bin'), entry(source, 'b.bin')]);
    const expected = await collect(layer.open());
    const store = new BlobDirectory(join(directory, 'store'));
    const blob = await store.pushUnhashed('x', layer);
    expect(blob).toMatchObject(described(expected));
    expect(readFileSync(store.pathOf(blob.digest)).equals(expected)).toBe(true);
    expect(openFiles(directory)).toEqual([]);
  });

  test('a file that changes while it is packed is not kept', async () => {
    const sound = tarLayer([entry(source, 'a.bin')]);
    let seen = 0;
    const change = (count: number): void => {
      seen += count;
      if (seen > 6 * MIB) appendFileSync(source, 'x');
    };
    const store = new BlobDirectory(join(directory, 'store'));
    const layer = { size: sound.size, open: () => tapped(sound.open(), { handing: change }) };
    await expect(store.pushUnhashed('x', layer)).rejects.toMatchObject({ code: 'SOURCE_CHANGED' });
    expect(paths(join(directory, 'store')).filter((path) => statSync(join(directory, 'store', path)).isFile())).toEqual([]);
    expect(openFiles(directory)).toEqual([]);
  });

  test('an archive is unpacked, and a damaged one leaves nothing', async () => {
    const tar = await collect(tarLayer([entry(source, 'a.bin'), entry(source, 'deep/b.bin')]).open());
    const blob = join(directory, 'blob');
    writeFileSync(blob, tar);
    const target = join(directory, 'target');
    const staging = new Staging(target, 'fail');
    await extractTar(verified(blobFile(blob), described(tar)), staging, { layer: 'the layer' });
    staging.commit();
    await staging.discard();
    for (const path of ['a.bin', 'deep/b.bin']) expect(readFileSync(join(target, path)).equals(content)).toBe(true);

    const expected = described(tar);
    tar[3 * MIB]! ^= 1;
    writeFileSync(blob, tar);
    const second = new Staging(join(directory, 'second'), 'fail');
    await expect(extractTar(verified(blobFile(blob), expected), second, { layer: 'the layer' })).rejects.toMatchObject({
      code: 'DIGEST_MISMATCH',
    });
    await second.discard();
    expect(paths(directory).filter((path) => path.startsWith('second'))).toEqual([]);
    expect(openFiles(directory)).toEqual([]);
  });
});

describe('what goes wrong on the other thread', () => {
  beforeEach(keepThreadsBusy);

  test('a full disk is named by the file that is written, whoever looks on', async () => {
    const file = await DirectFile.open('/dev/full', { pace: always('plain') });
    const bytes = tapped(verified(blobFile(source), described(content)), { failed: () => new Error('the source') });
    await expect(writeBehind(file, 'model.bin', bytes)).rejects.toMatchObject({
      code: 'DISK_FULL',
      message: expect.stringContaining('model.bin') as unknown,
    });
    await file.close();
    expect(openFiles(directory)).toEqual([]);
  });

  test('a file that cannot be read any more is told by its reader', async () => {
    const handle = await open(source);
    const file = {
      handle,
      failed: (cause: unknown) => new Error('reading failed', { cause }),
      cutOff: () => new Error('cut off'),
    };
    const bytes = fileBytes(async () => await Promise.resolve(file), { start: 0, end: content.byteLength }, undefined);
    const iterator = verified(bytes, described(content))[Symbol.asyncIterator]();
    expect((await iterator.next()).value?.byteLength).toBe(CHUNK_BYTES);
    const move = { to: 'memory' as const, limit: MIB, step: MIB, failed: () => new Error('the copy') };
    expect(await iterator.move?.(move)).toMatchObject({ bytes: MIB, chunks: [{ byteLength: MIB }] });
    await handle.close();
    await expect(iterator.move?.(move)).rejects.toThrow('reading failed');
    expect(await iterator.next()).toEqual({ done: true, value: undefined });
  });
});
