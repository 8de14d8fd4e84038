import { readSync } from 'node:fs';
import { allocateChunk, CHUNK_BYTES, releaseChunk } from '../chunk.ts';
import { DirectReads } from './direct-read.ts';
import { type FileToRead, readFully } from './read-fully.ts';
import { ReadPace } from './read-pace.ts';
import type { ByteRange, Bytes, BytesIterator } from '../blob-source.ts';
import type { Move, Moved } from '../move.ts';

/** Reads under way for one file. */
const READS = 2;
/** Where it has to come from the disk, which is kept busy better by more. */
const DISK_READS = 4;
/** Where less is left it is read here. */
const MIN_MOVE = 1024 * 1024;
/** Below this, memory of its own size is cheaper. */
const SMALL_READ = 128 * 1024;

/**
 * The range in chunks, read by threads while the receiver is busy with those before. Whoever asks to `readNow` gets what the page cache
 * has without a thread.
 * @param pace that of other ranges of the file
 * @throws what `file` says; the signal's reason when aborted
 */
export function readAhead(file: FileToRead, range: ByteRange, signal: AbortSignal | undefined, pace = new ReadPace()): Bytes {
  return { [Symbol.asyncIterator]: () => new ReadAhead(file, range, signal, pace) };
}

class ReadAhead implements BytesIterator {
  readonly #file: FileToRead;
  readonly #signal: AbortSignal | undefined;
  readonly #end: number;
  readonly #pace: ReadPace;
  readonly #started: { readonly chunk: Uint8Array; readonly done: Promise<void> }[] = [];
  #next: number;
  /** Nothing is read ahead before a second chunk is asked for: whoever goes on by `readNow` has no use for it. */
  #isFirst = true;
  /** By `readNow` or `move`, for what is at hand. */
  #isAsked = false;
  #moving: Promise<unknown> | undefined;
  /** Once reading was slow: what has to come from the disk need not go through the page cache. */
  #direct: DirectReads | undefined;

  constructor(file: FileToRead, { start, end }: ByteRange, signal: AbortSignal | undefined, pace: ReadPace) {
    this.#file = file;
    this.#signal = signal;
    this.#pace = pace;
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
    this.#pace.readChunk();
    if (!this.#isFirst && (!this.#isAsked || this.#pace.isSlow)) this.#begin();
    this.#isFirst = false;
    return { done: false, value: first.chunk };
  }

  readNow(piece: Uint8Array): number {
    this.#isAsked = true;
    const length = Math.min(piece.byteLength, this.#end - this.#next);
    if (this.#pace.isSlow || this.#started.length > 0 || length <= 0) return 0;
    let done = 0;
    while (done < length && !this.#pace.isSlow) done += this.#readSome(piece.subarray(done, Math.min(length, done + CHUNK_BYTES)));
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
    this.#pace.readNow(count, performance.now() - began);
    return count;
  }

  async move({ to, limit, step, mover, failed }: Move): Promise<Moved | undefined> {
    const canMove = to === 'nowhere' ? mover?.hasThread : mover?.isReady;
    this.#isAsked = canMove === true && !this.#pace.isSlow;
    const left = Math.min(limit, this.#end - this.#next);
    if (!this.#isAsked || mover === undefined || this.#started.length > 0 || left < MIN_MOVE) return undefined;
    const length = Math.min(left, step);
    const chunks = to === 'memory' ? allocate(length) : [];
    const target = to === 'memory' ? chunks : to === 'nowhere' ? undefined : to;
    try {
      this.#signal?.throwIfAborted();
      const moving = mover.move({ fd: this.#file.handle.fd, position: this.#next }, target, length);
      this.#moving = moving;
      const { bytes, writtenTo, readMs } = await moving.catch((error: unknown) => {
        throw (error as NodeJS.ErrnoException).syscall === 'write' ? failed(error) : this.#file.failed(error);
      });
      this.#next += bytes;
      if (bytes < length) throw this.#file.cutOff(this.#next);
      this.#pace.readNow(bytes, readMs, to === 'memory');
      // whoever needs a little of what follows is not to wait for more
      this.#isFirst = true;
      this.#isAsked = false;
      return { bytes, writtenTo, chunks };
    } catch (error) {
      for (const chunk of chunks) releaseChunk(chunk);
      await this.return();
      throw error;
    }
  }

  /** The file may be closed after that. */
  async return(): Promise<IteratorResult<Uint8Array, void>> {
    await this.#moving?.catch(() => undefined);
    this.#next = this.#end;
    const started = this.#started.splice(0);
    await Promise.allSettled(started.map(({ done }) => done));
    for (const { chunk } of started) releaseChunk(chunk);
    await this.#direct?.close();
    this.#direct = undefined;
    return { done: true, value: undefined };
  }

  #begin(): void {
    if (this.#pace.isSlow) this.#direct ??= new DirectReads(this.#file.handle.fd);
    const reads = this.#pace.isSlow ? DISK_READS : this.#isFirst ? 1 : READS;
    while (this.#next < this.#end && this.#started.length < reads) {
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

function allocate(bytes: number): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  for (let left = bytes; left > 0; left -= CHUNK_BYTES) chunks.push(allocateChunk().subarray(0, left));
  return chunks;
}
