/** `plain` writes go to the page cache, `direct` ones past it to the disk. */
export type WriteWay = 'plain' | 'direct';

const MIB = 1024 * 1024;
/** Bytes after which the way that was chosen is judged. */
const WINDOW = 96 * MIB;
/** The same where a way is tried: the slower one takes several times as long, so less has to do. */
const TRIAL = 24 * MIB;
/** Bytes before the first trial: small files, and memory and threads that are used for the first time. */
const WARM_UP = 8 * MIB;
/** Windows after which the other way is tried again. */
const HOLD = 8;
/** What is in the page cache is there for the next reader: past it has to be faster by this factor. */
const GAIN = 1.15;
/** A way is judged after these bytes already where it is slower than the other one by this factor. */
const HOPELESS_AFTER = 8 * MIB;
const HOPELESS = 2;

/**
 * Finds out which way of writing is the faster one at this time, from the bytes that all files together get rid of. The page cache is
 * faster than any disk while it has memory at hand, and slower than the disk alone once it has none.
 */
export class WritePace {
  #way: WriteWay = 'plain';
  /** Bytes a second. */
  readonly #rates: Record<WriteWay, number> = { plain: 0, direct: 0 };
  #isWarm = false;
  /** Ways still to be tried, with the one that is tried now. */
  #trials = 2;
  /** Windows since the last trial. */
  #held = 0;
  #bytes = 0;
  #from: number | undefined;

  /** How the next large write should go. */
  get way(): WriteWay {
    return this.#way;
  }

  /** A large write begins, at `now` milliseconds. */
  begin(now: number): void {
    this.#from ??= now;
  }

  /** It has ended, and `bytes` were written in the way that was asked for. */
  end(bytes: number, now: number): void {
    this.#bytes += bytes;
    if (this.#from === undefined) return;
    const rate = (this.#bytes * 1000) / Math.max(1, now - this.#from);
    if (this.#bytes < this.#window && !this.#isHopeless(rate)) return;
    this.#bytes = 0;
    this.#from = undefined;
    if (this.#isWarm) this.#judge(rate);
    this.#isWarm = true;
  }

  get #window(): number {
    if (!this.#isWarm) return WARM_UP;
    return this.#trials > 0 ? TRIAL : WINDOW;
  }

  #isHopeless(rate: number): boolean {
    return this.#isWarm && this.#bytes >= HOPELESS_AFTER && rate * HOPELESS < this.#rates[other(this.#way)];
  }

  #judge(rate: number): void {
    this.#rates[this.#way] = rate;
    this.#held = this.#trials > 0 ? 0 : this.#held + 1;
    this.#trials = this.#held >= HOLD ? 1 : Math.max(0, this.#trials - 1);
    const { plain, direct } = this.#rates;
    if (this.#trials > 0) this.#way = other(this.#way);
    else this.#way = direct >= plain * GAIN ? 'direct' : 'plain';
  }
}

function other(way: WriteWay): WriteWay {
  return way === 'plain' ? 'direct' : 'plain';
}
