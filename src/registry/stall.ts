import { getDefaultHighWaterMark } from 'node:stream';
import type { Bytes, BytesIterator } from '../blob-source.ts';
import { CHUNK_BYTES, releaseChunk } from '../chunk.ts';
import { PIECE_BYTES } from './send-pieces.ts';

/** When a connection that still stands counts as lost. */
export interface StallLimits {
  /** Without a byte. */
  readonly silenceMs: number;
  /** Bytes per second that have to come or go, on average over `silenceMs` of waiting for them. */
  readonly minRate: number;
}

/** What is handed to a slow socket at once, so that a timeout means silence and not a large piece. */
const SMALLEST_PIECE_BYTES = 64 * 1024;
/** Whole pieces are asked for once so much in a row went so soon that no buffers on the way can have swallowed it. */
const SOON_IN_A_ROW_BYTES = 32 * 1024 * 1024;
/** A piece that is gone sooner may be followed by one twice as large. */
const SOON_MS = 250;

/** The other side is there, but next to nothing comes through. */
export class StalledError extends Error {}

/** Notices a trickle. Only the time of waiting for the network counts. */
export class RateWatch {
  readonly #limits: StallLimits;
  #bytes = 0;
  #waitedMs = 0;

  constructor(limits: StallLimits) {
    this.#limits = limits;
  }

  /** @throws StalledError when, with these `bytes` after this wait, the rate of the last while is below the minimum */
  moved(bytes: number, waitedMs: number): void {
    const { silenceMs, minRate } = this.#limits;
    this.#bytes += bytes;
    this.#waitedMs += waitedMs;
    if (this.#waitedMs < silenceMs) return;
    if (this.#bytes * 1000 < minRate * this.#waitedMs) {
      throw new StalledError(`${this.#bytes} bytes in ${Math.round(this.#waitedMs / 1000)} seconds`);
    }
    this.#bytes = 0;
    this.#waitedMs = 0;
  }
}

/** Passes on what arrives. @throws StalledError */
export async function* watchReceived(bytes: Bytes, limits: StallLimits): AsyncGenerator<Uint8Array, void, undefined> {
  const watch = new RateWatch(limits);
  let asked = performance.now();
  for await (const chunk of bytes) {
    const waitedMs = performance.now() - asked;
    yield chunk;
    watch.moved(chunk.byteLength, waitedMs);
    asked = performance.now();
  }
}

/**
 * Passes on a request body in pieces that fit the pace of the socket, and calls `giveUp` with a StalledError when it takes no more:
 * whoever sends asks for the next piece when the last one is with the system. So a chunk whose last piece fills the socket's buffer is
 * given back then; what is smaller may still be waiting there and is left to the garbage collector, as is the chunk at which it ends early.
 * A piece that is read by `readNow` has to be with the system too before the next is asked for.
 */
export function watchSent(bytes: Bytes, limits: StallLimits, giveUp: (error: StalledError) => void): Bytes {
  return { [Symbol.asyncIterator]: () => new SentBytes(bytes[Symbol.asyncIterator](), limits, giveUp) };
}

const BUFFERED_BYTES = getDefaultHighWaterMark(false);

class SentBytes implements BytesIterator {
  readonly #inner: BytesIterator;
  readonly #watch: RateWatch;
  readonly #giveUp: (error: StalledError) => void;
  readonly #silenceMs: number;
  /** Goes off when a piece may have been out for too long: winding it up for each piece would cost more than looking at the clock. */
  #timer: NodeJS.Timeout | undefined;
  /** The chunk that is handed on, and what of it is still to be. */
  #chunk: Uint8Array = new Uint8Array();
  #rest = 0;
  #piece = SMALLEST_PIECE_BYTES;
  /** That went soon, in a row. */
  #soonBytes = 0;
  /** Size of the piece that is with whoever sends; 0 while the source is waited for. */
  #handed = 0;
  #handedAt = 0;

  constructor(inner: BytesIterator, limits: StallLimits, giveUp: (error: StalledError) => void) {
    this.#inner = inner;
    this.#watch = new RateWatch(limits);
    this.#giveUp = giveUp;
    this.#silenceMs = limits.silenceMs;
    this.#wait(limits.silenceMs);
  }

  async next(): Promise<IteratorResult<Uint8Array, void>> {
    try {
      this.#taken();
      while (this.#rest === 0) {
        if (this.#chunk.byteLength >= BUFFERED_BYTES) releaseChunk(this.#chunk);
        this.#chunk = new Uint8Array();
        const step = await this.#inner.next();
        if (step.done === true) {
          clearTimeout(this.#timer);
          return step;
        }
        this.#chunk = step.value;
        this.#rest = step.value.byteLength;
      }
    } catch (error) {
      await this.return();
      throw error;
    }
    // no small rest: a piece below the buffer of the socket may wait there unseen
    const length = this.#rest < 2 * this.#piece ? this.#rest : this.#piece;
    const at = this.#chunk.byteLength - this.#rest;
    this.#rest -= length;
    this.#hand(length);
    return { done: false, value: this.#chunk.subarray(at, at + length) };
  }

  readNow(piece: Uint8Array): number {
    this.#taken();
    if (this.#rest > 0) return 0;
    const count = this.#inner.readNow?.(piece.byteLength > this.#piece ? piece.subarray(0, this.#piece) : piece) ?? 0;
    if (count > 0) this.#hand(count);
    return count;
  }

  async return(): Promise<IteratorResult<Uint8Array, void>> {
    clearTimeout(this.#timer);
    return (await this.#inner.return?.()) ?? { done: true, value: undefined };
  }

  #hand(length: number): void {
    this.#handed = length;
    this.#handedAt = performance.now();
  }

  #wait(ms: number): void {
    this.#timer = setTimeout(() => {
      // the time in which the source is waited for does not count
      const outMs = this.#handed === 0 ? 0 : performance.now() - this.#handedAt;
      if (outMs < this.#silenceMs) this.#wait(this.#silenceMs - outMs);
      else this.#giveUp(new StalledError('no byte could be sent'));
    }, ms).unref();
  }

  #taken(): void {
    if (this.#handed === 0) return;
    const length = this.#handed;
    const tookMs = performance.now() - this.#handedAt;
    this.#handed = 0;
    this.#watch.moved(length, tookMs);
    const isSoon = tookMs < SOON_MS;
    this.#soonBytes = isSoon ? this.#soonBytes + length : 0;
    const largest = this.#soonBytes < SOON_IN_A_ROW_BYTES ? CHUNK_BYTES : PIECE_BYTES;
    this.#piece = isSoon ? Math.min(this.#piece * 2, largest) : SMALLEST_PIECE_BYTES;
  }
}
