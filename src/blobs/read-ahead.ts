import { readSync } from 'node:fs';
import { allocateChunk, CHUNK_BYTES, releaseChunk } from '../chunk.ts';
import { DirectReads } from './direct-read.ts';
import { type FileToRead, readFully } from './read-fully.ts';
import type { ByteRange, Bytes, BytesIterator } from '../blob-source.ts';

/** Reads under way for one file. */
const READS = 2;
/** Below this, memory of its own size is cheaper. */
const SMALL_READ = 128 * 1024;
/** So much out of the page cache takes a tenth of that time; slower than this is a disk, which threads should wait for. */
const WINDOW_BYTES = 4 * 1024 * 1024;
const WINDOW_MS = 16;
/** So many times in a row: once may be another program's turn on the processor. */
const SLOW_WINDOWS = 2;
/** Chunks that threads read until the page cache is tried again; twice as many each time that it was slow. */
const CHUNKS_BY_THREAD = 128;

/**
 * The range in chunks, read by threads while the receiver is busy with those before. Whoever asks to `readNow` gets what the page cache
 * has without a thread.
 * @throws what `file` says; the signal's reason when aborted
 */
export function readAhead(file: FileToRead, range: ByteRange, signal: AbortSignal | undefined): Bytes {
  return { [Symbol.asyncIterator]: () => new ReadAhead(file, range, signal) };
}

class ReadAhead implements BytesIterator {
  readonly #file: FileToRead;
  readonly #signal: AbortSignal | undefined;
  readonly #end: number;
  readonly #started: { readonly chunk: Uint8Array; readonly done: Promise<void> }[] = [];
  #next: number;
  /** Nothing is read ahead before a second chunk is asked for: whoever goes on by `readNow` has no use for it. */
  #reads = 1;
  /** Chunks that are read ahead before `readNow` has its turn; Infinity while nobody asks for that. */
  #byThread = Number.POSITIVE_INFINITY;
  /** What it is set to next. */
  #patience = CHUNKS_BY_THREAD;
  /** What `readNow` has had since it was last judged, and the time that took. */
  #window = { bytes: 0, ms: 0 };
  #slowWindows = 0;
  /** Once reading was slow: what has to come from the disk need not go through the page cache. */
  #direct: DirectReads | undefined;

  constructor(file: FileToRead, { start, end }: ByteRange, signal: AbortSignal | undefined) {
    this.#file = file;
    this.#signal = signal;
    this.#next = start;
    this.#end = end;
  }

  async next(): Promise<IteratorResult<Uint8Array, void>> {
    if (this.#started.length === 0) this.#begin();
    const [first] = this.#started;
    if (first === undefined) return await this.return();
    try {
      await first.done;
    } catch (error) {
      await this.return();
      throw error;
    }
    this.#started.shift();
    if (this.#reads < READS) this.#reads += 1;
    else if (--this.#byThread > 0) this.#begin();
    return { done: false, value: first.chunk };
  }

  readNow(piece: Uint8Array): number {
    if (this.#byThread === Number.POSITIVE_INFINITY) this.#byThread = 0;
    const length = Math.min(piece.byteLength, this.#end - this.#next);
    if (this.#byThread > 0 || this.#started.length > 0 || length <= 0) return 0;
    let done = 0;
    while (done < length && this.#byThread <= 0) done += this.#readSome(piece.subarray(done, Math.min(length, done + CHUNK_BYTES)));
    return done;
  }

  #readSome(piece: Uint8Array): number {
    const { handle, failed, cutOff } = this.#file;
    const began = performance.now();
    let count: number;
    try {
      count = readSync(handle.fd, piece, 0, piece.byteLength, this.#next);
    } catch (error) {
      throw failed(error);
    }
    if (count === 0) throw cutOff(this.#next);
    this.#next += count;
    this.#judge(count, performance.now() - began);
    return count;
  }

  #judge(count: number, tookMs: number): void {
    const bytes = this.#window.bytes + count;
    const ms = this.#window.ms + tookMs;
    const isSlow = ms > WINDOW_MS;
    if (bytes < WINDOW_BYTES && !isSlow) {
      this.#window = { bytes, ms };
      return;
    }
    this.#window = { bytes: 0, ms: 0 };
    this.#slowWindows = isSlow ? this.#slowWindows + 1 : 0;
    if (this.#slowWindows === SLOW_WINDOWS) {
      this.#slowWindows = 0;
      this.#byThread = this.#patience;
      this.#patience *= 2;
      this.#direct ??= new DirectReads(this.#file.handle.fd);
    }
  }

  /** The file may be closed after that. */
  async return(): Promise<IteratorResult<Uint8Array, void>> {
    this.#next = this.#end;
    const started = this.#started.splice(0);
    await Promise.allSettled(started.map(({ done }) => done));
    for (const { chunk } of started) releaseChunk(chunk);
    await this.#direct?.close();
    this.#direct = undefined;
    return { done: true, value: undefined };
  }

  #begin(): void {
    while (this.#next < this.#end && this.#started.length < this.#reads) {
      const left = this.#end - this.#next;
      const chunk = left < SMALL_READ ? Buffer.allocUnsafe(left) : allocateChunk().subarray(0, left);
      const done = this.#read(chunk, this.#next);
      // whoever waits for it gets the error; until then it is nobody's
      done.catch(() => undefined);
      this.#started.push({ chunk, done });
      this.#next += chunk.byteLength;
    }
  }

  async #read(chunk: Uint8Array, position: number): Promise<void> {
    const done = (await this.#direct?.read(chunk, chunk.byteLength, position)) ?? 0;
    if (done < chunk.byteLength) await readFully(this.#file, chunk.subarray(done), position + done, this.#signal);
  }
}
