import { type BigIntStats, closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { KitError } from '../errors.ts';
import { type FileStamp, sameStamp, stampOf } from './file-stamp.ts';
import { asPathError } from './path-error.ts';
import type { BlobSource, ByteRange } from './source.ts';

/** A piece of a virtual blob: bytes in memory or made when they are read, or a range of a file of the user's. */
export type Segment =
  | { readonly type: 'bytes'; readonly bytes: Uint8Array }
  | { readonly type: 'made'; readonly length: number; readonly make: () => Uint8Array }
  | { readonly type: 'file'; readonly path: string; readonly offset: number; readonly length: number; readonly stamp: FileStamp };

/** Size of the chunks handed out: SHA-256 and the disk are at their best from here on. */
const CHUNK = 1024 * 1024;
/** Up to this size the thread pool costs more than the read. */
const SMALL_FILE = 128 * 1024;
/** Should a pipe have taken the place of a file, opening it must not wait for a writer. */
const READ = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0);

/**
 * A blob laid over files: sizes and offsets are known before anything is read.
 * Reading throws KitError SOURCE_CHANGED when a file is no longer what `stat` saw.
 */
export function segmentSource(segments: readonly Segment[]): BlobSource & { readonly size: number } {
  const ends: number[] = [];
  let total = 0;
  for (const segment of segments) ends.push((total += lengthOf(segment)));
  return {
    size: total,
    open: (range = { start: 0, end: total }, signal) =>
      read(segments, ends, { start: range.start, end: Math.min(range.end, total) }, signal),
  };
}

function lengthOf(segment: Segment): number {
  return segment.type === 'bytes' ? segment.bytes.byteLength : segment.length;
}

/** Fills one chunk from as many segments as it holds, so that thousands of small files make few chunks. */
class ChunkFiller {
  chunk: Buffer;
  filled = 0;
  #remaining: number;

  constructor(total: number) {
    this.#remaining = total;
    this.chunk = Buffer.allocUnsafeSlow(Math.min(CHUNK, total));
  }

  get full(): boolean {
    return this.filled === this.chunk.byteLength;
  }

  take(): Buffer {
    const done = this.chunk.subarray(0, this.filled);
    this.#remaining -= this.filled;
    this.chunk = Buffer.allocUnsafeSlow(Math.min(CHUNK, this.#remaining));
    this.filled = 0;
    return done;
  }
}

async function* read(
  segments: readonly Segment[],
  ends: readonly number[],
  range: ByteRange,
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array> {
  signal?.throwIfAborted();
  if (range.start >= range.end) return;
  const filler = new ChunkFiller(range.end - range.start);
  let index = firstEndingAfter(ends, range.start);
  let position = range.start;
  while (position < range.end) {
    const segment = segments[index] as Segment;
    const start = (ends[index] as number) - lengthOf(segment);
    const skip = position - start;
    const length = Math.min(lengthOf(segment) - skip, range.end - position);
    if (segment.type === 'bytes') yield* copyBytes(segment.bytes.subarray(skip, skip + length), filler);
    else if (segment.type === 'made') yield* copyBytes(segment.make().subarray(skip, skip + length), filler);
    else if (length <= SMALL_FILE) yield* readSmall(segment, skip, length, filler);
    else yield* readLarge(segment, skip, length, filler, signal);
    position += length;
    index += 1;
    signal?.throwIfAborted();
  }
  if (filler.filled > 0) yield filler.take();
}

function firstEndingAfter(ends: readonly number[], position: number): number {
  let low = 0;
  let high = ends.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((ends[middle] as number) > position) high = middle;
    else low = middle + 1;
  }
  return low;
}

function* copyBytes(bytes: Uint8Array, filler: ChunkFiller): Generator<Uint8Array> {
  let offset = 0;
  while (offset < bytes.byteLength) {
    const part = bytes.subarray(offset, offset + filler.chunk.byteLength - filler.filled);
    filler.chunk.set(part, filler.filled);
    filler.filled += part.byteLength;
    offset += part.byteLength;
    if (filler.full) yield filler.take();
  }
}

type FileSegment = Extract<Segment, { type: 'file' }>;

function* readSmall(segment: FileSegment, skip: number, length: number, filler: ChunkFiller): Generator<Uint8Array> {
  const fd = naming(segment, () => openSync(segment.path, READ));
  try {
    for (let done = 0; done < length;) {
      const want = Math.min(length - done, filler.chunk.byteLength - filler.filled);
      const got = naming(segment, () => readSync(fd, filler.chunk, filler.filled, want, segment.offset + skip + done));
      if (got === 0) throw changed(segment);
      done += got;
      filler.filled += got;
      if (filler.full) yield filler.take();
    }
    checkStamp(
      naming(segment, () => fstatSync(fd, { bigint: true })),
      segment,
    );
  } finally {
    closeSync(fd);
  }
}

async function* readLarge(
  segment: FileSegment,
  skip: number,
  length: number,
  filler: ChunkFiller,
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const file = await open(segment.path, READ).catch((error: unknown) => refuse(error, segment));
  try {
    checkStamp(await file.stat({ bigint: true }), segment);
    for (let done = 0; done < length;) {
      signal?.throwIfAborted();
      const want = Math.min(length - done, filler.chunk.byteLength - filler.filled);
      const { bytesRead } = await file
        .read(filler.chunk, filler.filled, want, segment.offset + skip + done)
        .catch((error: unknown) => refuse(error, segment));
      if (bytesRead === 0) throw changed(segment);
      done += bytesRead;
      filler.filled += bytesRead;
      if (filler.full) yield filler.take();
    }
    checkStamp(await file.stat({ bigint: true }), segment);
  } finally {
    await file.close();
  }
}

function naming<T>(segment: FileSegment, work: () => T): T {
  try {
    return work();
  } catch (error) {
    return refuse(error, segment);
  }
}

// the file was there when it was looked at, and it was a file
function refuse(error: unknown, segment: FileSegment): never {
  const gone = ['ENOENT', 'ENOTDIR', 'EISDIR', 'ENXIO', 'EAGAIN', 'ESPIPE'].includes((error as NodeJS.ErrnoException).code ?? '');
  throw gone ? changed(segment, error) : asPathError(error, segment.path);
}

function checkStamp(stats: BigIntStats, segment: FileSegment): void {
  if (!sameStamp(stampOf(stats), segment.stamp)) throw changed(segment);
}

function changed({ path }: FileSegment, cause?: unknown): KitError {
  return new KitError('SOURCE_CHANGED', `${path} changed while it was read`, {
    cause,
    hint: 'run the command again when nothing writes to the file',
  });
}
