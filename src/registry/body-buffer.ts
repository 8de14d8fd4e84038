import { allocateChunk, releaseChunk } from '../chunk.ts';

/** Below this a body gets memory of its own size. */
const SMALL_BYTES = 256 * 1024;
/** Full chunks that may wait for the reader. */
const MAX_READY = 2;
/** A reader gets what there is when a chunk takes longer than this to fill. */
const MAX_AGE_MS = 100;

export interface BodyBufferOptions {
  /** The reader has caught up after `filled` asked for a pause. */
  readonly onDrain: () => void;
  readonly now: () => number;
}

/** Between a socket that fills memory and a reader that takes it: bytes of a body of known length, in whole chunks where they come fast. */
export class BodyBuffer {
  readonly #options: BodyBufferOptions;
  readonly #ready: Uint8Array[] = [];
  #left: number;
  #chunk: Uint8Array | undefined;
  #filled = 0;
  #since = 0;
  #isPaused = false;
  #failure: { readonly error: unknown } | undefined;
  #wake: (() => void) | undefined;

  constructor(length: number, options: BodyBufferOptions) {
    this.#left = length;
    this.#options = options;
  }

  /** Bytes that have not arrived. */
  get left(): number {
    return this.#left;
  }

  /** Where the next bytes belong; at least one byte, and never beyond the body. Call it while `left` is above 0. */
  space(): Uint8Array {
    if (this.#chunk === undefined) {
      this.#chunk = this.#left < SMALL_BYTES ? new Uint8Array(this.#left) : allocateChunk();
      this.#filled = 0;
      this.#since = this.#options.now();
    }
    return this.#chunk.subarray(this.#filled, Math.min(this.#chunk.byteLength, this.#filled + this.#left));
  }

  /** `count` bytes were written to `space()`. False: no more, until `onDrain`. */
  filled(count: number): boolean {
    this.#filled += count;
    this.#left -= count;
    if (this.#left === 0 || this.#filled === this.#chunk?.byteLength) this.#handOver();
    else if (this.#wake !== undefined && this.#options.now() - this.#since > MAX_AGE_MS) this.#handOverCopy();
    this.#isPaused = this.#left > 0 && this.#ready.length >= MAX_READY;
    return !this.#isPaused;
  }

  /** Copies what arrived elsewhere, at most `left` bytes. */
  append(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.byteLength;) {
      const space = this.space();
      const part = bytes.subarray(at, at + space.byteLength);
      space.set(part);
      at += part.byteLength;
      this.filled(part.byteLength);
    }
  }

  /** What has arrived is read before `error` is thrown. */
  fail(error: unknown): void {
    if (this.#failure !== undefined) return;
    this.#failure = { error };
    if (this.#filled > 0) this.#handOver();
    this.#wakeUp();
  }

  /** Undefined at the end. For one reader at a time. @throws what `fail` was given */
  async next(): Promise<Uint8Array | undefined> {
    for (;;) {
      const chunk = this.#ready.shift();
      if (chunk !== undefined) {
        if (this.#isPaused) {
          this.#isPaused = false;
          this.#options.onDrain();
        }
        return chunk;
      }
      // the body is whole: what became of the connection afterwards does not matter
      if (this.#left === 0) return undefined;
      if (this.#failure !== undefined) throw this.#failure.error;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  /** Gives up what nobody has read. The socket must not fill it any more. */
  drop(): void {
    for (const chunk of this.#ready.splice(0)) releaseChunk(chunk);
    if (this.#chunk !== undefined) releaseChunk(this.#chunk);
    this.#chunk = undefined;
    this.#filled = 0;
  }

  #handOver(): void {
    if (this.#chunk !== undefined) this.#ready.push(this.#chunk.subarray(0, this.#filled));
    this.#chunk = undefined;
    this.#filled = 0;
    this.#wakeUp();
  }

  // on a slow link: a mostly empty chunk would hold its whole memory
  #handOverCopy(): void {
    if (this.#chunk !== undefined) this.#ready.push(new Uint8Array(this.#chunk.subarray(0, this.#filled)));
    this.#filled = 0;
    this.#since = this.#options.now();
    this.#wakeUp();
  }

  #wakeUp(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }
}
