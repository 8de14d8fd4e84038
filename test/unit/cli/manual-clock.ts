import type { Clock } from '../../../src/cli/render/clock.ts';

interface Timer {
  readonly ms: number;
  readonly tick: () => void;
  next: number;
}

/** A clock that moves when it is told to. */
export class ManualClock implements Clock {
  readonly timers = new Set<Timer>();
  #now = 1_000_000;

  now(): number {
    return this.#now;
  }

  every(ms: number, tick: () => void): () => void {
    const timer = { ms, tick, next: this.#now + ms };
    this.timers.add(timer);
    return () => this.timers.delete(timer);
  }

  /** Lets `ms` pass; timers tick when it is their time. */
  advance(ms: number): void {
    const end = this.#now + ms;
    for (;;) {
      const timer = [...this.timers].toSorted((a, b) => a.next - b.next)[0];
      if (timer === undefined || timer.next > end) break;
      this.#now = timer.next;
      timer.next += timer.ms;
      timer.tick();
    }
    this.#now = end;
  }
}
