const WINDOW_MS = 5000;

/** Throughput over the last seconds, from samples of a counter that only grows. */
export class RateWindow {
  readonly #times: number[] = [];
  readonly #counts: number[] = [];

  constructor(now: number) {
    this.sample(now, 0);
  }

  sample(now: number, count: number): void {
    this.#times.push(now);
    this.#counts.push(count);
    // one sample from before the window stays: where samples are rare it is what the last one is compared with
    while ((this.#times[1] ?? Infinity) <= now - WINDOW_MS) {
      this.#times.shift();
      this.#counts.shift();
    }
  }

  /** 0 before the second sample. */
  get perSecond(): number {
    const span = (this.#times.at(-1) ?? 0) - (this.#times[0] ?? 0);
    return span > 0 ? (((this.#counts.at(-1) ?? 0) - (this.#counts[0] ?? 0)) * 1000) / span : 0;
  }
}
