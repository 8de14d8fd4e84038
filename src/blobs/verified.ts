import { KitError } from '../errors.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { digestAlgorithm } from '../oci/digest.ts';
import { StreamDigester } from '../oci/stream-digester.ts';
import type { Bytes, BytesIterator } from '../blob-source.ts';
import type { Move, MoveBytes, Moved } from '../move.ts';
import { digested } from './digested.ts';

/**
 * Passes `bytes` on and checks them against `expected` on the way.
 * The last chunk is handed out before the digest is known: what it feeds must stay revocable until the iteration ends.
 * @throws KitError SIZE_MISMATCH as soon as too many bytes arrive or when too few did; DIGEST_MISMATCH at the end
 */
export function verified(bytes: Bytes, expected: Descriptor): Bytes {
  return { [Symbol.asyncIterator]: () => new VerifiedIterator(bytes, expected) };
}

class VerifiedIterator implements BytesIterator {
  readonly move: MoveBytes | undefined;
  readonly #inner: BytesIterator;
  readonly #expected: Descriptor;
  readonly #digester: StreamDigester;
  #received = 0;
  #isOver = false;

  constructor(bytes: Bytes, expected: Descriptor) {
    this.#expected = expected;
    this.#digester = new StreamDigester(digestAlgorithm(expected.digest), expected.size);
    this.#inner = digested(bytes, this.#digester)[Symbol.asyncIterator]();
    if (this.#inner.move !== undefined) this.move = async (move) => await this.#move(move);
  }

  async next(): Promise<IteratorResult<Uint8Array, void>> {
    if (this.#isOver) return { done: true, value: undefined };
    try {
      const step = await this.#inner.next();
      if (step.done === true) await this.#finish();
      else if (this.#receive(step.value.byteLength)) await this.#refuse();
      return step;
    } catch (error) {
      this.#end();
      throw error;
    }
  }

  async #move(move: Move): Promise<Moved | undefined> {
    if (this.#isOver) return undefined;
    try {
      const moved = await this.#inner.move?.(move);
      if (moved !== undefined && this.#receive(moved.bytes)) await this.#refuse();
      return moved;
    } catch (error) {
      this.#end();
      throw error;
    }
  }

  async return(): Promise<IteratorResult<Uint8Array, void>> {
    this.#end();
    return (await this.#inner.return?.()) ?? { done: true, value: undefined };
  }

  #end(): void {
    this.#isOver = true;
    this.#digester.abandon();
  }

  /** True when these are too many. */
  #receive(count: number): boolean {
    this.#received += count;
    return this.#received > this.#expected.size;
  }

  async #refuse(): Promise<never> {
    await this.#inner.return?.();
    throw sizeMismatch(this.#expected, `more than ${this.#expected.size}`);
  }

  async #finish(): Promise<void> {
    this.#isOver = true;
    const { digest, size } = this.#expected;
    if (this.#received !== size) throw sizeMismatch(this.#expected, String(this.#received));
    const actual = await this.#digester.digest();
    if (actual === digest) return;
    throw new KitError('DIGEST_MISMATCH', `${digest}: the content has digest ${actual}`, {
      hint: 'the content was changed or damaged; fetch it again from a source that you trust',
    });
  }
}

function sizeMismatch(expected: Descriptor, received: string): KitError {
  return new KitError('SIZE_MISMATCH', `${expected.digest}: ${received} bytes arrived where its descriptor says ${expected.size}`, {
    hint: 'the content was cut off or its manifest is wrong; fetch it again from a source that you trust',
  });
}

/** Collects verified bytes of a small blob. `limit` bytes guard memory before anything is read. */
export async function readVerified(bytes: Bytes, expected: Descriptor, limit: number): Promise<Buffer> {
  if (expected.size > limit) {
    throw new KitError('LIMIT_EXCEEDED', `${expected.digest}: ${expected.size} bytes of metadata, the limit is ${limit}`);
  }
  const chunks: Uint8Array[] = [];
  for await (const chunk of verified(bytes, expected)) chunks.push(chunk);
  return Buffer.concat(chunks);
}
