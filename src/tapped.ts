import type { Bytes, BytesIterator } from './blob-source.ts';
import type { Move, MoveBytes, Moved } from './move.ts';

/** What looks on while bytes go by. What it throws ends them. */
export interface Tap {
  /** So many bytes are about to be handed on. */
  readonly handing?: (count: number) => void;
  /** The receiver asks for more: it is done with so many. */
  readonly taken?: (count: number) => void;
  /** All bytes were taken. */
  readonly ended?: () => void;
  /** The error to be thrown instead of that of the bytes. */
  readonly failed?: (error: unknown) => unknown;
}

/** The same bytes, each piece told to `tap`. */
export function tapped(bytes: Bytes, tap: Tap): Bytes {
  return { [Symbol.asyncIterator]: () => new TappedIterator(bytes[Symbol.asyncIterator](), tap) };
}

class TappedIterator implements BytesIterator {
  readonly move: MoveBytes | undefined;
  readonly #inner: BytesIterator;
  readonly #tap: Tap;
  /** Handed on and not known to be taken. */
  #out = 0;

  constructor(inner: BytesIterator, tap: Tap) {
    this.#inner = inner;
    this.#tap = tap;
    if (inner.move !== undefined) this.move = async (move) => await this.#move(move);
  }

  async next(): Promise<IteratorResult<Uint8Array, void>> {
    this.#settle();
    let step: IteratorResult<Uint8Array, void>;
    try {
      step = await this.#inner.next();
    } catch (error) {
      throw this.#explained(error);
    }
    if (step.done === true) {
      this.#tap.ended?.();
      return step;
    }
    try {
      this.#hand(step.value.byteLength);
    } catch (error) {
      await this.#inner.return?.();
      throw error;
    }
    return step;
  }

  /** Whoever reads so and gets an error has to `return`. */
  readNow(piece: Uint8Array): number {
    this.#settle();
    let count: number;
    try {
      count = this.#inner.readNow?.(piece) ?? 0;
    } catch (error) {
      throw this.#explained(error);
    }
    if (count > 0) this.#hand(count);
    return count;
  }

  async #move(move: Move): Promise<Moved | undefined> {
    this.#settle();
    let moved: Moved | undefined;
    try {
      moved = await this.#inner.move?.(move);
    } catch (error) {
      throw this.#explained(error);
    }
    if (moved === undefined) return undefined;
    try {
      this.#hand(moved.bytes);
    } catch (error) {
      await this.#inner.return?.();
      throw error;
    }
    return moved;
  }

  async return(): Promise<IteratorResult<Uint8Array, void>> {
    return (await this.#inner.return?.()) ?? { done: true, value: undefined };
  }

  #hand(count: number): void {
    this.#tap.handing?.(count);
    this.#out = count;
  }

  #settle(): void {
    if (this.#out === 0) return;
    const count = this.#out;
    this.#out = 0;
    this.#tap.taken?.(count);
  }

  #explained(error: unknown): unknown {
    return this.#tap.failed === undefined ? error : this.#tap.failed(error);
  }
}
