import { getDefaultHighWaterMark } from 'node:stream';
import type { Bytes } from '../blobs/source.ts';
import { CHUNK_BYTES, releaseChunk } from '../chunk.ts';

/** When a connection that still stands counts as lost. */
export interface StallLimits {
  /** Without a byte. */
  readonly silenceMs: number;
  /** Bytes per second that have to come or go, on average over `silenceMs` of waiting for them. */
  readonly minRate: number;
}

/** What is handed to a slow socket at once, so that a timeout means silence and not a large piece. */
const SMALLEST_PIECE_BYTES = 64 * 1024;
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
 */
export async function* watchSent(
  bytes: Bytes,
  limits: StallLimits,
  giveUp: (error: StalledError) => void,
): AsyncGenerator<Uint8Array, void, undefined> {
  const watch = new RateWatch(limits);
  const buffered = getDefaultHighWaterMark(false);
  let piece = SMALLEST_PIECE_BYTES;
  let isHanded = false;
  // one for all pieces: it is wound up again for each, and what it does while the source is waited for does not count
  const timer = setTimeout(() => {
    if (isHanded) giveUp(new StalledError('no byte could be sent'));
  }, limits.silenceMs).unref();
  try {
    for await (const chunk of bytes) {
      for (let at = 0; at < chunk.byteLength;) {
        const left = chunk.byteLength - at;
        // no small rest: a piece below the buffer of the socket may wait there unseen
        const length = left < 2 * piece ? left : piece;
        const handed = performance.now();
        isHanded = true;
        timer.refresh();
        yield chunk.subarray(at, at + length);
        isHanded = false;
        const tookMs = performance.now() - handed;
        watch.moved(length, tookMs);
        piece = tookMs < SOON_MS ? Math.min(piece * 2, CHUNK_BYTES) : SMALLEST_PIECE_BYTES;
        at += length;
      }
      if (chunk.byteLength >= buffered) releaseChunk(chunk);
    }
  } finally {
    clearTimeout(timer);
  }
}
