import { CHUNK_BYTES } from '../chunk.ts';

/** When a blob is read over several connections, and over how many. */
export interface RangeLimits {
  /** A rest below so many bytes stays on its one connection. */
  readonly minRest: number;
  readonly segmentBytes: number;
  /** How far from the first connection the others begin at most. */
  readonly maxAhead: number;
  /** A connection is judged after so many bytes and so much time. */
  readonly sampleBytes: number;
  readonly sampleMs: number;
  /** Share of the time that the reader has to wait for bytes: below it, the reader is what limits. */
  readonly minWaitShare: number;
  /** Bytes per second, of all blobs that are read together: a faster link is left alone. */
  readonly maxRate: number;
  /** More connections stay when the rate grew by this factor. */
  readonly minGain: number;
  /** How long a number of connections is measured. */
  readonly stepMs: number;
  /** After a step without gain, how long before it is tried again; doubled each time. */
  readonly holdMs: number;
  /** Of one client, for all blobs together. */
  readonly connections: number;
  /** Memory for bytes that arrive before their turn, for all blobs of the process together. */
  readonly windowBytes: number;
}

export const RANGE_LIMITS: RangeLimits = {
  minRest: 16 * CHUNK_BYTES,
  segmentBytes: 2 * CHUNK_BYTES,
  maxAhead: 16 * CHUNK_BYTES,
  sampleBytes: CHUNK_BYTES,
  sampleMs: 40,
  minWaitShare: 0.5,
  maxRate: 300_000_000,
  minGain: 1.15,
  stepMs: 100,
  holdMs: 500,
  connections: 16,
  windowBytes: 36 * CHUNK_BYTES,
};

const STEPS = [1, 4, 8, 16] as const;
/** Of the gain that would be had if each connection brought as much as those before: then a step is left out. */
const NEARLY_ALL = 0.7;
const MAX_DOUBLED = 10;
/** What is read on one connection before another attempt, doubled each time. */
const TROUBLE_BYTES = 64 * CHUNK_BYTES;
const NO_GAIN_BYTES = 1024 * CHUNK_BYTES;

/**
 * Decides how many connections one blob is worth. It begins with one; a link that limits each connection gets more, as long
 * as each step raises the rate; a link that gains nothing goes back to one. Times are of the clock that it is given.
 */
export class RangePlanner {
  readonly #limits: RangeLimits;
  readonly #now: () => number;
  #sample = { bytes: 0, waitedMs: 0, busyMs: 0 };
  /** Bytes per second of the single connection, as last measured. */
  #singleRate = 0;
  /** How long the answer to a request took to come. */
  #answerMs: number;
  /** Bytes to read on one connection first; infinite when ranges do not work here. */
  #wait = 0;
  #backOffs = 0;
  #aheadFactor = 2;
  /** Index in STEPS. */
  #step = 0;
  #isSettled = true;
  /** What is measured now: `bytes` since `from`, which may lie ahead. */
  #measured = { bytes: 0, from: 0, hasBegun: false };
  /** Bytes per second, and connections, before the last step up; undefined while that has to be measured first. */
  #before: { readonly step: number; readonly rate: number } | undefined;
  #holds = 0;

  constructor(limits: RangeLimits, now: () => number, answerMs: number) {
    this.#limits = limits;
    this.#now = now;
    this.#answerMs = answerMs;
  }

  /** Connections that the blob should have now. */
  get connections(): number {
    return Math.min(STEPS[this.#step] ?? 1, this.#limits.connections);
  }

  /** `bytes` came over the single connection; the reader waited for them, then was busy with those before. */
  received(bytes: number, waitedMs: number, busyMs: number): void {
    this.#sample.bytes += bytes;
    this.#sample.waitedMs += waitedMs;
    this.#sample.busyMs += busyMs;
    this.#wait -= bytes;
  }

  /** True when the single connection should be joined by others for a rest of so many bytes; `blobs` are read side by side. */
  shouldSplit(rest: number, blobs = 1): boolean {
    const { bytes, waitedMs, busyMs } = this.#sample;
    const elapsed = waitedMs + busyMs;
    const { sampleBytes, sampleMs, minRest, minWaitShare, maxRate } = this.#limits;
    if (bytes < sampleBytes || elapsed < sampleMs) return false;
    this.#sample = { bytes: 0, waitedMs: 0, busyMs: 0 };
    this.#singleRate = rateOf(bytes, elapsed);
    return this.#wait <= 0 && rest >= minRest && waitedMs >= elapsed * minWaitShare && this.#singleRate * blobs <= maxRate;
  }

  /** How far ahead the other connections should begin: so far that they have answered when the first one gets there. */
  ahead(): number {
    const onTheWay = (this.#singleRate * this.#answerMs * this.#aheadFactor) / 1000;
    return Math.round(Math.max(this.#limits.segmentBytes, Math.min(this.#limits.maxAhead, onTheWay)));
  }

  /** The first of the other connections delivers. */
  begin(): void {
    this.#before = { step: 0, rate: this.#singleRate };
    this.#measure(1);
  }

  /** A request of the blob was answered after so long. */
  answered(ms: number): void {
    this.#answerMs = ms;
  }

  /** `bytes` came, over whichever connection. */
  arrived(bytes: number): void {
    if (this.#isSettled) return;
    const elapsed = this.#now() - this.#measured.from;
    // what comes while connections are being opened, or while nothing is tried, tells nothing
    if (elapsed < 0) return;
    if (!this.#measured.hasBegun) {
      // from one arrival to another: the first bytes came before
      this.#measured = { bytes: 0, from: this.#now(), hasBegun: true };
      return;
    }
    this.#measured.bytes += bytes;
    if (elapsed < this.#limits.stepMs || this.#measured.bytes < this.connections * this.#limits.sampleBytes) return;
    const rate = rateOf(this.#measured.bytes, elapsed);
    if (this.#before === undefined) this.#up(rate);
    else this.#judge(this.#before, rate);
  }

  /** The registry asks for fewer requests. */
  trouble(): void {
    this.#toOne(TROUBLE_BYTES);
  }

  /** The others had not answered when the first connection got there. */
  late(): void {
    this.#aheadFactor *= 2;
    this.#toOne(TROUBLE_BYTES);
  }

  /** Ranges do not work here. */
  refused(): void {
    this.#toOne(Number.POSITIVE_INFINITY);
  }

  #judge(before: { readonly step: number; readonly rate: number }, rate: number): void {
    if (rate >= before.rate * this.#limits.minGain) {
      const all = (before.rate * this.connections) / (STEPS[before.step] ?? 1);
      this.#up(rate, rate >= all * NEARLY_ALL ? 2 : 1);
    } else if (before.step === 0) {
      this.#toOne(NO_GAIN_BYTES);
    } else {
      // a busy machine can look like a link without gain: tried again, ever more rarely
      const hold = this.#limits.holdMs * 2 ** this.#holds;
      this.#holds = Math.min(MAX_DOUBLED, this.#holds + 1);
      this.#before = undefined;
      this.#measure(before.step, hold);
    }
  }

  /** More connections, if there may be more; `rate` is that of the present ones. */
  #up(rate: number, steps = 1): void {
    const next = Math.min(this.#step + steps, STEPS.length - 1);
    this.#before = { step: this.#step, rate };
    if (next === this.#step || this.connections >= this.#limits.connections) this.#isSettled = true;
    else this.#measure(next);
  }

  #measure(step: number, holdMs = 0): void {
    this.#step = step;
    this.#isSettled = false;
    this.#measured = { bytes: 0, from: this.#now() + this.#answerMs + holdMs, hasBegun: false };
  }

  #toOne(wait: number): void {
    this.#step = 0;
    this.#isSettled = true;
    this.#wait = wait * 2 ** this.#backOffs;
    this.#backOffs = Math.min(MAX_DOUBLED, this.#backOffs + 1);
    this.#sample = { bytes: 0, waitedMs: 0, busyMs: 0 };
  }
}

/** Bytes per second. */
function rateOf(bytes: number, ms: number): number {
  return (bytes * 1000) / Math.max(ms, 0.001);
}
