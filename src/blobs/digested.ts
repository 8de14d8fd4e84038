import type { StreamDigester } from '../oci/stream-digester.ts';
import type { Bytes, BytesIterator } from '../blob-source.ts';
import type { Move, Moved } from '../move.ts';

/** Passes bytes on and feeds them to `digester`, in order; to end or abandon that is up to the caller. */
export function digested(bytes: Bytes, digester: StreamDigester): Bytes {
  return { [Symbol.asyncIterator]: () => new DigestedIterator(bytes[Symbol.asyncIterator](), digester) };
}

class DigestedIterator implements BytesIterator {
  readonly #inner: BytesIterator;
  readonly #digester: StreamDigester;

  constructor(inner: BytesIterator, digester: StreamDigester) {
    this.#inner = inner;
    this.#digester = digester;
  }

  async next(): Promise<IteratorResult<Uint8Array, void>> {
    const step = await this.#inner.next();
    if (step.done === true) return step;
    try {
      await this.#digester.update(step.value);
    } catch (error) {
      await this.return();
      throw error;
    }
    return step;
  }

  /** One thread hashes what is moved: where another digest is wanted too, the bytes have to be handed out. */
  async move(move: Move): Promise<Moved | undefined> {
    return move.mover === undefined ? await this.#inner.move?.({ ...move, mover: this.#digester }) : undefined;
  }

  async return(): Promise<IteratorResult<Uint8Array, void>> {
    return (await this.#inner.return?.()) ?? { done: true, value: undefined };
  }
}
