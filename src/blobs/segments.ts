import { type BigIntStats, closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { open, stat, unlink } from 'node:fs/promises';
import { allocateChunk, CHUNK_BYTES } from '../chunk.ts';
import { KitError } from '../errors.ts';
import { type FileStamp, sameStamp, stampOf } from './file-stamp.ts';
import { asPathError } from './path-error.ts';
import { readAhead } from './read-ahead.ts';
import { readFully } from './read-fully.ts';
import { reflink } from './reflink.ts';
import type { BlobSource, ByteRange, BytesIterator } from '../blob-source.ts';
import type { Move, Moved } from '../move.ts';

/** A piece of a virtual blob: bytes in memory or made when they are read, or a range of a file of the user's. */
export type Segment =
  | { readonly type: 'bytes'; readonly bytes: Uint8Array }
  | { readonly type: 'made'; readonly length: number; readonly make: () => Uint8Array }
  | { readonly type: 'file'; readonly path: string; readonly offset: number; readonly length: number; readonly stamp: FileStamp };

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
    open: (range = { start: 0, end: total }, signal) => ({
      [Symbol.asyncIterator]: () => new SegmentBytes(segments, ends, { start: range.start, end: Math.min(range.end, total) }, signal),
    }),
  };
}

function lengthOf(segment: Segment): number {
  return segment.type === 'bytes' ? segment.bytes.byteLength : segment.length;
}

/** Up to this size a blob gets memory of its own size. */
const SMALL_BLOB = 128 * 1024;

/** Fills one chunk from as many segments as it holds, so that thousands of small files make few chunks. */
class ChunkFiller {
  filled = 0;
  #chunk: Uint8Array | undefined;
  #remaining: number;

  /** @param total bytes to come */
  constructor(total: number) {
    this.#remaining = total;
  }

  get isEmpty(): boolean {
    return this.filled === 0;
  }

  get isFull(): boolean {
    return this.filled === this.chunk.byteLength;
  }

  get chunk(): Uint8Array {
    this.#chunk ??=
      this.#remaining <= SMALL_BLOB
        ? Buffer.allocUnsafe(this.#remaining)
        : allocateChunk().subarray(0, Math.min(CHUNK_BYTES, this.#remaining));
    return this.#chunk;
  }

  take(): Uint8Array {
    const done = this.chunk.subarray(0, this.filled);
    this.pass(this.filled);
    this.#chunk = undefined;
    this.filled = 0;
    return done;
  }

  /** Bytes that went by in chunks of their own. */
  pass(bytes: number): void {
    this.#remaining -= bytes;
  }
}

/** The large file that is being read, without its beginning and its end where they share a chunk with other segments. */
interface Current {
  file: BytesIterator | undefined;
}

class SegmentBytes implements BytesIterator {
  readonly #current: Current = { file: undefined };
  readonly #chunks: AsyncGenerator<Uint8Array, void>;

  constructor(segments: readonly Segment[], ends: readonly number[], range: ByteRange, signal?: AbortSignal) {
    this.#chunks = read(segments, ends, range, this.#current, signal);
  }

  async next(): Promise<IteratorResult<Uint8Array, void>> {
    return await this.#chunks.next();
  }

  async move(move: Move): Promise<Moved | undefined> {
    try {
      return await this.#current.file?.move?.(move);
    } catch (error) {
      await this.return();
      throw error;
    }
  }

  async return(): Promise<IteratorResult<Uint8Array, void>> {
    return await this.#chunks.return();
  }
}

async function* read(
  segments: readonly Segment[],
  ends: readonly number[],
  range: ByteRange,
  current: Current,
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array, void> {
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
    else yield* readLarge(segment, skip, length, filler, current, signal);
    position += length;
    index += 1;
    signal?.throwIfAborted();
  }
  if (!filler.isEmpty) yield filler.take();
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
    if (filler.isFull) yield filler.take();
  }
}

export type FileSegment = Extract<Segment, { type: 'file' }>;

function* readSmall(segment: FileSegment, skip: number, length: number, filler: ChunkFiller): Generator<Uint8Array> {
  const fd = naming(segment, () => openSync(segment.path, READ));
  try {
    for (let done = 0; done < length;) {
      const want = Math.min(length - done, filler.chunk.byteLength - filler.filled);
      const got = naming(segment, () => readSync(fd, filler.chunk, filler.filled, want, segment.offset + skip + done));
      if (got === 0) throw changed(segment);
      done += got;
      filler.filled += got;
      if (filler.isFull) yield filler.take();
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
  current: Current,
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const handle = await open(segment.path, READ).catch((error: unknown) => refuse(error, segment));
  const file = { handle, failed: (error: unknown) => reading(error, segment), cutOff: () => changed(segment) };
  const end = segment.offset + skip + length;
  try {
    checkStamp(await handle.stat({ bigint: true }), segment);
    for (let position = segment.offset + skip; position < end;) {
      if (filler.isEmpty && end - position >= CHUNK_BYTES) {
        const whole = Math.floor((end - position) / CHUNK_BYTES);
        filler.pass(whole * CHUNK_BYTES);
        const chunks = readAhead(file, { start: position, end: position + whole * CHUNK_BYTES }, signal)[Symbol.asyncIterator]();
        current.file = chunks;
        yield* { [Symbol.asyncIterator]: () => chunks };
        current.file = undefined;
        position += whole * CHUNK_BYTES;
        continue;
      }
      const part = filler.chunk.subarray(filler.filled, filler.filled + end - position);
      await readFully(file, part, position, signal);
      position += part.byteLength;
      filler.filled += part.byteLength;
      if (filler.isFull) yield filler.take();
    }
    checkStamp(await handle.stat({ bigint: true }), segment);
  } finally {
    await handle.close();
  }
}

/** The whole file as the new file `path`, sharing its blocks; false where the file system has no such files. @throws KitError SOURCE_CHANGED */
export async function cloneSegment(segment: FileSegment, path: string): Promise<boolean> {
  if (segment.length < SMALL_FILE || segment.offset !== 0) return false;
  if (!(await reflink(segment.path, path))) return false;
  try {
    // what was cloned is what was there before and is there still
    checkStamp(await stat(segment.path, { bigint: true }).catch((error: unknown) => refuse(error, segment)), segment);
    if ((await stat(path)).size !== segment.length) throw changed(segment);
  } catch (error) {
    await unlink(path);
    throw error;
  }
  return true;
}

function naming<T>(segment: FileSegment, work: () => T): T {
  try {
    return work();
  } catch (error) {
    return refuse(error, segment);
  }
}

function refuse(error: unknown, segment: FileSegment): never {
  throw reading(error, segment);
}

// the file was there when it was looked at, and it was a file
function reading(error: unknown, segment: FileSegment): Error {
  const gone = ['ENOENT', 'ENOTDIR', 'EISDIR', 'ENXIO', 'EAGAIN', 'ESPIPE'].includes((error as NodeJS.ErrnoException).code ?? '');
  return gone ? changed(segment, error) : asPathError(error, segment.path);
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
