import { releaseChunk } from '../chunk.ts';
import { KitError } from '../errors.ts';
import type { ByteRange, Bytes, SkippableBytes } from '../blob-source.ts';

/** What is asked for at once where nothing is known of what follows. */
const MIN_WINDOW = 64 * 1024;
const MAX_WINDOW = 1024 * 1024;

/**
 * The bytes of a blob by ranges, for a reader that skips most of them. Where it skips little, the ranges grow, so that many small files
 * do not cost a request each; where it skips much, they shrink. Nothing is verified: no digest covers a part.
 */
export class RangedBytes implements SkippableBytes, AsyncIterableIterator<Uint8Array, undefined> {
  readonly size: number;
  readonly #fetch: (range: ByteRange) => Promise<Bytes>;
  /** Where the reader is. */
  #position = 0;
  /** Up to where the reader said that it will read. */
  #expected = 0;
  #windowBytes = MIN_WINDOW;
  /** The range being read: its next byte, and its end. */
  #window: AsyncIterator<Uint8Array> | undefined;
  #next = 0;
  #end = 0;

  /** `name` (a digest) goes into messages. */
  readonly #name: string;

  private constructor(size: number, name: string, fetch: (range: ByteRange) => Promise<Bytes>) {
    this.size = size;
    this.#name = name;
    this.#fetch = fetch;
  }

  /** Asks for the first range, so that a source without ranges is known before anything was read. @throws KitError UNSUPPORTED */
  static async open(size: number, name: string, fetch: (range: ByteRange) => Promise<Bytes>): Promise<RangedBytes> {
    const bytes = new RangedBytes(size, name, fetch);
    await bytes.#openWindow();
    return bytes;
  }

  skip(count: number): number {
    const skipped = Math.min(count, this.size - this.#position);
    this.#position += skipped;
    return skipped;
  }

  expect(count: number): void {
    this.#expected = Math.min(this.size, this.#position + Math.max(0, count));
  }

  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    while (this.#position < this.size) {
      if (this.#window === undefined || this.#position >= this.#end) await this.#moveWindow();
      const chunk = await this.#read();
      const start = this.#next - chunk.byteLength;
      if (this.#next <= this.#position) {
        releaseChunk(chunk);
        continue;
      }
      const part = chunk.subarray(this.#position - start);
      this.#position = this.#next;
      return { value: part, done: false };
    }
    await this.#drain();
    return { value: undefined, done: true };
  }

  async return(): Promise<IteratorResult<Uint8Array, undefined>> {
    await this.#window?.return?.();
    this.#window = undefined;
    this.#position = this.size;
    return { value: undefined, done: true };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async #moveWindow(): Promise<void> {
    const gap = this.#position - this.#end;
    await this.#drain();
    if (this.#position > this.#expected) {
      if (gap < this.#windowBytes) this.#windowBytes = Math.min(MAX_WINDOW, this.#windowBytes * 2);
      else if (gap >= MAX_WINDOW) this.#windowBytes = Math.max(MIN_WINDOW, this.#windowBytes / 2);
    }
    await this.#openWindow();
  }

  async #openWindow(): Promise<void> {
    const start = this.#position;
    // what follows the content that is expected is the next header
    const wanted = this.#expected > start ? this.#expected + MIN_WINDOW : start + this.#windowBytes;
    const end = Math.min(this.size, wanted);
    this.#window = (await this.#fetch({ start, end, isExact: true }))[Symbol.asyncIterator]();
    [this.#next, this.#end] = [start, end];
  }

  async #read(): Promise<Uint8Array> {
    const next = await this.#window?.next();
    if (next === undefined || next.done === true) {
      throw new KitError('SIZE_MISMATCH', `${this.#name}: bytes ${this.#next} to ${this.#end - 1} were asked for and did not arrive`, {
        hint: 'the content was cut off; fetch it again from a source that you trust',
      });
    }
    const chunk = next.value;
    this.#next += chunk.byteLength;
    if (this.#next > this.#end) throw new KitError('SIZE_MISMATCH', `${this.#name}: more bytes arrive than were asked for`);
    return chunk;
  }

  /** Reads the window to its end: a connection that is broken off cannot be used again. */
  async #drain(): Promise<void> {
    const window = this.#window;
    this.#window = undefined;
    if (window === undefined) return;
    for (let next = await window.next(); next.done !== true; next = await window.next()) releaseChunk(next.value);
  }
}
