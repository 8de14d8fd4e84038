import type { StreamDigester } from '../oci/stream-digester.ts';
import type { Bytes, BytesIterator } from '../blob-source.ts';
import type { MoveBytes } from '../move.ts';

/** Passes bytes on and feeds them to `digester`, in order; to end or abandon that is up to the caller. */
export function digested(bytes: Bytes, digester: StreamDigester): Bytes {
  return { [Symbol.asyncIterator]: () => new DigestedIterator(bytes[Symbol.asyncIterator](), digester) };
}

class DigestedIterator implements BytesIterator {
  readonly move: MoveBytes | undefined;
  readonly #inner: BytesIterator;
  readonly #digester: StreamDigester;

  constructor(inner: BytesIterator, digester: StreamDigester) {
    this.#inner = inner;
    this.#digester = digester;
    if (inner.move === undefined) return;
    // one thread hashes what is moved: where another digest is wanted too, the bytes have to be handed out
    this.move = async (move) => (move.mover === undefined ? await inner.move?.({ ...move, mover: digester }) : undefined);
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

  async return(): Promise<IteratorResult<Uint8Array, void>> {
    return (await this.#inner.return?.()) ?? { done: true, value: undefined };
  }
}
