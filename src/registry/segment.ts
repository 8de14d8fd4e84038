import type { ByteRange } from '../blob-source.ts';
import { releaseChunk } from '../chunk.ts';

/** A part of a blob that arrives on a connection of its own, and is read when its turn comes. For one reader. */
export class Segment {
  readonly range: ByteRange;
  readonly #queue: Uint8Array[] = [];
  #arrived: number;
  #taken: number;
  #isOver = false;
  #failure: { readonly error: unknown } | undefined;
  #wake: (() => void) | undefined;

  constructor(range: ByteRange) {
    this.range = range;
    this.#arrived = range.start;
    this.#taken = range.start;
  }

  /** Offset in the blob of the next byte to arrive. */
  get arrived(): number {
    return this.#arrived;
  }

  /** Offset in the blob of the next byte to be read. */
  get position(): number {
    return this.#taken;
  }

  push(chunk: Uint8Array): void {
    this.#queue.push(chunk);
    this.#arrived += chunk.byteLength;
    this.#wakeUp();
  }

  /** No more will come, whether or not all did. */
  finish(): void {
    this.#isOver = true;
    this.#wakeUp();
  }

  fail(error: unknown): void {
    this.#failure = { error };
    this.finish();
  }

  /** Undefined when no more will come. @throws what `fail` was given, after the bytes before it */
  async next(): Promise<Uint8Array | undefined> {
    for (;;) {
      const chunk = this.#queue.shift();
      if (chunk !== undefined) {
        this.#taken += chunk.byteLength;
        return chunk;
      }
      if (this.#failure !== undefined) throw this.#failure.error;
      if (this.#isOver) return undefined;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  /** Gives up what was not read. */
  drop(): void {
    for (const chunk of this.#queue.splice(0)) releaseChunk(chunk);
  }

  #wakeUp(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }
}
