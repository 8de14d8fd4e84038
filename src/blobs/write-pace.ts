/** `plain` writes go to the page cache, `direct` ones past it to the disk. */
export type WriteWay = 'plain' | 'direct';

/** Bytes after which a way is judged. */
const WINDOW = 96 * 1024 * 1024;
/** Bytes a second: a page cache that is faster than this has room, and nothing else need be tried. */
const FAST = 1_200_000_000;
/** What is in the page cache is there for the next reader: past it has to be faster by this factor. */
const GAIN = 1.15;
/** Windows for which a choice holds. */
const HOLD = 16;

/** Milliseconds a MiB: above it the page cache has to make room first, and takes the processor from those who hash. */
const CHEAP_MS = 1.2;
const MIB = 1024 * 1024;
const WEIGHT = 0.25;
/** While it does not pay, one write in so many is tried. */
const PROBE = 64;

/**
 * Finds out which way of writing is the faster one at this time, from the bytes that all files together get rid of. The page cache is
 * faster than any disk while it has memory at hand, and slower than the disk alone once it has none.
 */
export class WritePace {
  #way: WriteWay = 'plain';
  readonly #rates: Record<WriteWay, number> = { plain: 0, direct: 0 };
  #held = HOLD;
  #bytes = 0;
  #from: number | undefined;
  /** Milliseconds a MiB, smoothed. */
  #overflowMs = 0;
  #asked = 0;

  /** How the next large write should go. */
  get way(): WriteWay {
    return this.#way;
  }

  /** Asked when as many direct writes are under way as keep the disk busy: should this one go to the page cache meanwhile? */
  get overflowPays(): boolean {
    this.#asked += 1;
    return this.#overflowMs <= CHEAP_MS || this.#asked % PROBE === 0;
  }

  /** Such a write took `ms` milliseconds. */
  overflowed(bytes: number, ms: number): void {
    this.#overflowMs += ((ms * MIB) / bytes - this.#overflowMs) * WEIGHT;
  }

  /** A large write begins, at `now` milliseconds. */
  begin(now: number): void {
    this.#from ??= now;
  }

  /** It has ended, and `bytes` were written in the way that was asked for. */
  end(bytes: number, now: number): void {
    this.#bytes += bytes;
    if (this.#bytes < WINDOW || this.#from === undefined) return;
    const rate = (this.#bytes * 1000) / Math.max(1, now - this.#from);
    this.#bytes = 0;
    this.#from = undefined;
    this.#rates[this.#way] = rate;
    this.#held += 1;
    if (this.#way === 'plain' && rate >= FAST) return;
    if (this.#held > HOLD) {
      // the other one, for a window
      this.#held = -1;
      this.#way = this.#way === 'plain' ? 'direct' : 'plain';
    } else this.#way = this.#rates.direct >= this.#rates.plain * GAIN ? 'direct' : 'plain';
  }
}
