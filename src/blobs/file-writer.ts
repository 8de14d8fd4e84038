import { CHUNK_BYTES, releaseChunk } from '../chunk.ts';
import { DirectFile } from './direct-file.ts';
import { asPathError } from './path-error.ts';
import type { Bytes, BytesIterator } from '../blob-source.ts';
import type { Moved } from '../move.ts';

/** Bytes that may wait while writes are under way. */
const MAX_QUEUED = 2 * CHUNK_BYTES;
const MAX_CHUNKS = 512;
/** Writes at a time for one file: one copies into the page cache while another waits for the disk. */
const MAX_WRITES = 2;
/** What another thread moves at a time: long enough that asking for more costs little, short enough to be aborted and to be told of. */
const MAX_MOVE = 4 * CHUNK_BYTES;
/** What may be missing before the end of a file whose writer was killed: writes under way, one begun for a move, and that move. */
export const MAX_UNORDERED = (MAX_WRITES + 1) * (MAX_QUEUED + CHUNK_BYTES) + MAX_MOVE;
/** Runs of zeros shorter than this are written like all else. */
const SMALLEST_HOLE = 64 * 1024;

const ZEROS = Buffer.alloc(CHUNK_BYTES);

/**
 * Writes a new file while the next chunks are read; memory stays within a few times MAX_QUEUED.
 * `name` stands for the file in messages. Errors of the source come through as they are.
 * @throws KitError
 */
export async function writeNewFile(file: string, name: string, mode: number, content: Bytes): Promise<void> {
  const handle = await naming(name, async () => await DirectFile.open(file, { exclusive: true, mode: 0o600 }));
  try {
    await writeBehind(handle, name, content);
    await naming(name, async () => await handle.chmod(mode));
  } finally {
    await naming(name, async () => await handle.close());
  }
}

/** What is needed of a file to write it at given positions. */
export interface WritableFile {
  writev(chunks: readonly Uint8Array[], position: number): Promise<{ bytesWritten: number }>;
  truncate(length: number): Promise<void>;
  /** Hands `work` the descriptor by which another thread may write, or undefined where bytes are better written by `writev`. */
  fill?(work: (fd: number | undefined) => Promise<Moved | undefined>): Promise<Moved | undefined>;
}

/**
 * Writes to an open file from `start` on; returns where it ends. The next chunks are read while the last are written, and their
 * memory is released. Where there are only zeros the file gets a hole. @throws KitError
 */
export async function writeBehind(file: WritableFile, name: string, content: Bytes, start = 0): Promise<number> {
  const writes = new Set<Promise<void>>();
  let queue: Uint8Array[] = [];
  let queued = 0;
  let position = start;
  let written = start;
  let failure: { readonly error: unknown } | undefined;

  const writeQueue = (): void => {
    const batch = queue;
    const from = position - queued;
    queue = [];
    queued = 0;
    written = position;
    const write = writeFully(file, batch, from)
      .catch((error: unknown) => {
        failure ??= { error };
      })
      .finally(() => {
        writes.delete(write);
        if (queue.length > 0 && failure === undefined) writeQueue();
      });
    writes.add(write);
  };

  const mustWait = (): boolean => failure === undefined && (queued >= MAX_QUEUED || queue.length >= MAX_CHUNKS || writes.size > MAX_WRITES);

  const flush = (): void => {
    if (queue.length > 0) writeQueue();
  };

  const put = (chunk: Uint8Array): void => {
    if (isHole(chunk)) {
      flush();
      position += chunk.byteLength;
      releaseChunk(chunk);
      return;
    }
    queue.push(chunk);
    queued += chunk.byteLength;
    position += chunk.byteLength;
    // a second write begins only with a full chunk: small ones gather meanwhile
    if (writes.size === 0 || (writes.size < MAX_WRITES && queued >= CHUNK_BYTES)) writeQueue();
  };

  const bytes = content[Symbol.asyncIterator]();
  try {
    for (;;) {
      const moved = bytes.move === undefined ? undefined : await moveNext(bytes, file, name, position);
      if (moved !== undefined) {
        for (const chunk of moved.chunks) {
          put(chunk);
          while (mustWait()) await Promise.race(writes);
        }
        if (moved.chunks.length === 0) {
          flush();
          position += moved.bytes;
          written = Math.max(written, moved.writtenTo);
          // what is before it has to be written before what comes after it
          while (writes.size > 0) await Promise.race(writes);
        }
      } else {
        const step = await bytes.next();
        if (step.done === true) break;
        put(step.value);
        while (mustWait()) await Promise.race(writes);
      }
      if (failure === undefined) continue;
      await bytes.return?.();
      break;
    }
  } finally {
    while (writes.size > 0) await Promise.all(writes);
  }
  if (failure === undefined && written < position) {
    await file.truncate(position).catch((error: unknown) => {
      failure = { error };
    });
  }
  if (failure !== undefined) throw asPathError(failure.error, name);
  return position;
}

/** The next bytes, written at `position` already or to be written, where another thread can read them. */
async function moveNext(bytes: BytesIterator, file: WritableFile, name: string, position: number): Promise<Moved | undefined> {
  if (file.fill === undefined) return undefined;
  let failure: { readonly error: Error } | undefined;
  // whoever passes it on may take it for one of the source
  const failed = (error: unknown): Error => {
    failure = { error: asPathError(error, name) };
    return failure.error;
  };
  // writes that begin at a multiple of this are better for each file system, and can be had past the page cache
  const beyond = position % CHUNK_BYTES;
  const step = beyond === 0 ? MAX_MOVE : CHUNK_BYTES - beyond;
  try {
    return await file.fill(async (fd) => {
      const to = fd === undefined ? 'memory' : { fd, position };
      return await bytes.move?.({ to, limit: Number.POSITIVE_INFINITY, step, failed });
    });
  } catch (error) {
    throw failure === undefined ? error : failure.error;
  }
}

function isHole(chunk: Uint8Array): boolean {
  const { byteLength } = chunk;
  if (byteLength < SMALLEST_HOLE || byteLength > CHUNK_BYTES || chunk[0] !== 0 || chunk[byteLength - 1] !== 0) return false;
  return ZEROS.compare(chunk, 0, byteLength, 0, byteLength) === 0;
}

async function writeFully(file: WritableFile, batch: readonly Uint8Array[], start: number): Promise<void> {
  let position = start;
  let rest = batch.filter((chunk) => chunk.byteLength > 0);
  while (rest.length > 0) {
    let { bytesWritten } = await file.writev(rest, position);
    position += bytesWritten;
    const first = rest.findIndex((chunk) => (bytesWritten -= chunk.byteLength) < 0);
    if (first === -1) break;
    const chunk = rest[first] as Uint8Array;
    rest = [chunk.subarray(chunk.byteLength + bytesWritten), ...rest.slice(first + 1)];
  }
  for (const chunk of batch) releaseChunk(chunk);
}

async function naming<T>(name: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw asPathError(error, name);
  }
}
