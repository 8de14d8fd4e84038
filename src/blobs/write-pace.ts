/** `plain` writes go to the page cache, `direct` ones past it to the disk; `mixed`: every other file this way, the rest that way. */
export type WriteWay = 'plain' | 'mixed' | 'direct';

const WAYS: readonly WriteWay[] = ['plain', 'mixed', 'direct'];

const MIB = 1024 * 1024;
/** Bytes after which the way that was chosen is judged. */
const WINDOW = 96 * MIB;
/** The same where a way is tried: the slower one takes several times as long, so less has to do. */
const TRIAL = 24 * MIB;
/** Bytes before the first trial: small files, and memory and threads that are used for the first time. */
const WARM_UP = 16 * MIB;
/** Bytes before plain writes are judged after direct ones: what is under way has to be read and hashed first. */
const SETTLE = 8 * MIB;
/** Windows after which the other ways are tried again; twice as many each time that this changed nothing. */
const HOLD = 12;
const MAX_HOLD = 48;
/** What is in the page cache is there for the next reader: past it has to be faster by this factor, for half of the files or all. */
const GAIN = 1.05;
/** A way is judged after these bytes already where it is slower than another one by this factor. */
const HOPELESS_AFTER = 12 * MIB;
const HOPELESS = 2;
/** Longer than this without a write it was not the disk that was waited for. */
const PAUSE_MS = 1000;

/**
 * Finds out which way of writing is the fastest at this time, from the bytes that all files together get rid of. The page cache is
 * faster than any disk while it has memory at hand, and slower than the disk alone once it has none; half of the files past it leave
 * the processor to the other half.
 */
export class WritePace {
  #way: WriteWay = 'plain';
  /** Bytes a second. */
  readonly #rates: Record<WriteWay, number> = { plain: 0, mixed: 0, direct: 0 };
  /** Bytes that are still not judged. */
  #settling = WARM_UP;
  /** The last way that was not just tried. */
  #chosen: WriteWay = 'plain';
  /** Ways still to be tried; undefined where none is being tried. */
  #untried: WriteWay[] | undefined = others('plain');
  /** Windows until the others are tried, and what that is set to. */
  #windowsLeft = HOLD;
  #patience = HOLD;
  #bytes = 0;
  /** From when on they were written: what ends the bytes before begins these, so that none is counted whose time is not. */
  #from = 0;
  /** When a write began or ended last. */
  #seen = 0;

  /** How the next large write should go. */
  get way(): WriteWay {
    return this.#way;
  }

  /** A large write begins, at `now` milliseconds. */
  begin(now: number): void {
    if (now - this.#seen > PAUSE_MS) this.#from = now - Math.max(0, this.#seen - this.#from);
    this.#seen = Math.max(this.#seen, now);
  }

  /** It has ended, and `bytes` were written in the way that was asked for. */
  end(bytes: number, now: number): void {
    this.#seen = now;
    this.#bytes += bytes;
    if (this.#settling > 0) {
      this.#settling -= bytes;
      if (this.#settling <= 0) this.#restart(now);
      return;
    }
    const rate = (this.#bytes * 1000) / Math.max(1, now - this.#from);
    if (this.#bytes < (this.#untried === undefined ? WINDOW : TRIAL) && !this.#isHopeless(rate)) return;
    this.#judge(rate);
    this.#restart(now);
  }

  #restart(now: number): void {
    this.#bytes = 0;
    this.#from = now;
  }

  #isHopeless(rate: number): boolean {
    if (this.#bytes < HOPELESS_AFTER) return false;
    return others(this.#way).some((way) => rate * HOPELESS < this.#rates[way]);
  }

  #judge(rate: number): void {
    const before = this.#way;
    this.#rates[before] = rate;
    if (this.#untried === undefined) this.#windowsLeft -= 1;
    if (this.#windowsLeft <= 0 && this.#best() === before) this.#untried ??= others(before);
    this.#way = this.#untried?.shift() ?? this.#choose();
    if (before === 'direct' && this.#way !== 'direct') this.#settling = SETTLE;
  }

  #choose(): WriteWay {
    const best = this.#best();
    const wasTrial = this.#untried !== undefined;
    if (best !== this.#chosen) this.#patience = HOLD;
    else if (wasTrial) this.#patience = Math.min(MAX_HOLD, this.#patience * 2);
    if (best !== this.#chosen || wasTrial) this.#windowsLeft = this.#patience;
    this.#chosen = best;
    this.#untried = undefined;
    return best;
  }

  #best(): WriteWay {
    const { plain, mixed, direct } = this.#rates;
    if (Math.max(mixed, direct) < plain * GAIN) return 'plain';
    return direct < mixed ? 'mixed' : 'direct';
  }
}

function others(way: WriteWay): WriteWay[] {
  return WAYS.filter((other) => other !== way);
}
