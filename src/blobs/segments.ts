import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { KitError } from '../errors.ts';
import { type FileStamp, sameStamp, stampOf } from './file-stamp.ts';
import { asPathError } from './path-error.ts';
import type { BlobSource, ByteRange } from './source.ts';

/** A piece of a virtual blob: bytes in memory, or a range of a file of the user's. */
export type Segment =
  | { readonly type: 'bytes'; readonly bytes: Uint8Array }
  | { readonly type: 'file'; readonly path: string; readonly offset: number; readonly length: number; readonly stamp: FileStamp };

/** Size of the chunks handed out: SHA-256 and the disk are at their best from here on. */
const CHUNK = 1024 * 1024;
/** Up to this size the thread pool costs more than the read. */
const SMALL_FILE = 128 * 1024;

/**
 * A blob laid over files: sizes and offsets are known before anything is read.
 * Reading throws KitError SOURCE_CHANGED when a file is no longer what `stat` saw.
 */
export function segmentSource(segments: readonly Segment[]): BlobSource & { readonly size: number } {
  const ends: number[] = [];
  let total = 0;
  for (const segment of segments) ends.push((total += lengthOf(segment)));
  return { size: total, open: (range, signal) => read(segments, ends, range ?? { start: 0, end: total }, signal) };
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
  const filler = new ChunkFiller(range.end - range.start);
  let index = firstEndingAfter(ends, range.start);
  let position = range.start;
  while (position < range.end) {
    const segment = segments[index] as Segment;
    const start = (ends[index] as number) - lengthOf(segment);
    const skip = position - start;
    const length = Math.min(lengthOf(segment) - skip, range.end - position);
    if (segment.type === 'bytes') yield* copyBytes(segment.bytes.subarray(skip, skip + length), filler);
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
  let fd: number;
  try {
    fd = openSync(segment.path, 'r');
  } catch (error) {
    throw asPathError(error, segment.path);
  }
  try {
    let done = 0;
    while (done < length) {
      const want = Math.min(length - done, filler.chunk.byteLength - filler.filled);
      const got = readSync(fd, filler.chunk, filler.filled, want, segment.offset + skip + done);
      if (got === 0) throw changed(segment.path);
      done += got;
      filler.filled += got;
      if (filler.full) yield filler.take();
    }
    if (!sameStamp(stampOf(fstatSync(fd, { bigint: true })), segment.stamp)) throw changed(segment.path);
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
  let file: FileHandle;
  try {
    file = await open(segment.path, 'r');
  } catch (error) {
    throw asPathError(error, segment.path);
  }
  try {
    let done = 0;
    while (done < length) {
      signal?.throwIfAborted();
      const want = Math.min(length - done, filler.chunk.byteLength - filler.filled);
      const { bytesRead } = await file.read(filler.chunk, filler.filled, want, segment.offset + skip + done);
      if (bytesRead === 0) throw changed(segment.path);
      done += bytesRead;
      filler.filled += bytesRead;
      if (filler.full) yield filler.take();
    }
    if (!sameStamp(stampOf(await file.stat({ bigint: true })), segment.stamp)) throw changed(segment.path);
  } finally {
    await file.close();
  }
}

function changed(path: string): KitError {
  return new KitError('SOURCE_CHANGED', `${path} changed while it was read`, {
    hint: 'run the command again when nothing writes to the file',
  });
}
