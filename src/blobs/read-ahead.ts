import { setImmediate as nextTurn } from 'node:timers/promises';
import { allocateChunk, CHUNK_BYTES, isHeld, releaseChunk } from '../chunk.ts';
import { type FileToRead, readFully, readFullyNow } from './read-fully.ts';
import type { ByteRange } from './source.ts';

/** Reads under way for one file. */
const READS = 2;
/** Below this, memory of its own size is cheaper. */
const SMALL_READ = 128 * 1024;
/** What stays in the cache of a core between the read and the write that follows. */
const CACHED_READ = 256 * 1024;
/** What is in the page cache takes a tenth of this; a disk that takes longer is waited for by threads. */
const SLOW_READ_MS = 1;
/** Read by threads after slow reads, before the next try. */
const AFTER_SLOW = 64 * CHUNK_BYTES;
/** Read here before timers, signals and other sockets get their turn. */
const TURN_BYTES = 4 * CHUNK_BYTES;

/**
 * The range in chunks. For a receiver that keeps a chunk while it asks for the next (it is hashed and written elsewhere) threads read
 * ahead. One that has given it back (a socket took it) has nothing else to do: what is in the page cache is then read here, into the
 * same memory again and again, which costs half of the CPU.
 * @throws what `file` says; the signal's reason when aborted
 */
export async function* readAhead(
  file: FileToRead,
  range: ByteRange,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array, void, undefined> {
  const ahead = new ReadsAhead(file, range, signal);
  let threadsUntil = range.start;
  let mayReadHere = false;
  let isHere = false;
  let slow = 0;
  try {
    for (let position = range.start; position < range.end;) {
      const chunk: Uint8Array = isHere
        ? allocateChunk().subarray(0, Math.min(CACHED_READ, range.end - position))
        : await ahead.take(position, !mayReadHere);
      if (isHere) {
        signal?.throwIfAborted();
        const asked = performance.now();
        readFullyNow(file, chunk, position);
        // one alone says little: the processor may have been elsewhere
        slow = performance.now() - asked > SLOW_READ_MS ? slow + 1 : 0;
        if (slow > 1) threadsUntil = position + AFTER_SLOW;
      }
      position += chunk.byteLength;
      yield chunk;
      mayReadHere = position >= threadsUntil && !isHeld(chunk);
      if (isHere && position % TURN_BYTES < CACHED_READ) await nextTurn();
      // what was read ahead comes first
      isHere = mayReadHere && ahead.isEmpty;
    }
  } finally {
    await ahead.end();
  }
}

/** Reads by threads, several at a time. */
class ReadsAhead {
  readonly #file: FileToRead;
  readonly #end: number;
  readonly #signal: AbortSignal | undefined;
  readonly #started: { readonly chunk: Uint8Array; readonly done: Promise<void> }[] = [];
  #next: number;

  constructor(file: FileToRead, range: ByteRange, signal: AbortSignal | undefined) {
    this.#file = file;
    this.#next = range.start;
    this.#end = range.end;
    this.#signal = signal;
  }

  get isEmpty(): boolean {
    return this.#started.length === 0;
  }

  /** The next chunk, which is the one at `position`; begins to read what follows only if `isEager`. */
  async take(position: number, isEager: boolean): Promise<Uint8Array> {
    if (this.isEmpty) this.#next = position;
    this.#begin(isEager ? READS : 1);
    const [{ chunk, done }] = this.#started as [{ chunk: Uint8Array; done: Promise<void> }];
    await done;
    this.#started.shift();
    if (isEager) this.#begin(READS);
    return chunk;
  }

  #begin(count: number): void {
    while (this.#next < this.#end && this.#started.length < count) {
      const left = this.#end - this.#next;
      const chunk = left < SMALL_READ ? Buffer.allocUnsafe(left) : allocateChunk().subarray(0, left);
      const done = readFully(this.#file, chunk, this.#next, this.#signal);
      // whoever waits for it gets the error; until then it is nobody's
      done.catch(() => undefined);
      this.#started.push({ chunk, done });
      this.#next += chunk.byteLength;
    }
  }

  /** The file is closed next. */
  async end(): Promise<void> {
    await Promise.allSettled(this.#started.map(({ done }) => done));
    for (const { chunk } of this.#started.splice(0)) releaseChunk(chunk);
  }
}
