import type { CallOptions } from '../events.ts';
import type { RangeBudget } from './range-budget.ts';
import type { RangeParts } from './range-parts.ts';
import type { RangePlanner } from './range-planner.ts';
import { Segment } from './segment.ts';
import { Setbacks } from './setbacks.ts';
import { TransientError } from './transient.ts';

export interface WindowOptions {
  readonly parts: RangeParts;
  readonly planner: RangePlanner;
  readonly budget: RangeBudget;
  readonly start: number;
  readonly end: number;
}

/** `refused`: by a server without ranges, or for good; `failed`: the first request, for now. */
export type WindowState = 'asked' | 'open' | 'refused' | 'failed';

/**
 * The parts of a blob that are on their way over several connections, in order. The first one is asked for alone: the others
 * follow when its answer shows that the server knows ranges. To be closed.
 */
export class SegmentWindow {
  readonly start: number;
  readonly #options: WindowOptions;
  readonly #segments: Segment[] = [];
  readonly #pumps = new Set<Promise<void>>();
  readonly #stop = new AbortController();
  readonly #call: CallOptions;
  #next: number;
  #state: WindowState = 'asked';

  constructor(options: WindowOptions) {
    const { call } = options.parts;
    this.#options = options;
    this.start = options.start;
    this.#next = options.start;
    this.#call = { ...call, signal: AbortSignal.any([this.#stop.signal, ...(call.signal === undefined ? [] : [call.signal])]) };
    this.#add();
  }

  get state(): WindowState {
    return this.#state;
  }

  /**
   * The bytes in order. Returns the offset up to which they came: the end, or where one connection should go on.
   * @throws KitError when a part fails as often as a blob may; the signal's reason when aborted
   */
  async *read(): AsyncGenerator<Uint8Array, number, undefined> {
    for (;;) {
      const [segment] = this.#segments;
      if (segment === undefined) return this.#next;
      for (;;) {
        const chunk = await segment.next();
        if (chunk !== undefined) this.#options.budget.giveBytes(chunk.byteLength);
        this.#options.parts.call.signal?.throwIfAborted();
        if (chunk === undefined) break;
        yield chunk;
        this.#fill();
      }
      // refused on the way: what the others bring is not worth waiting for
      if (segment.position < segment.range.end) return segment.position;
      this.#segments.shift();
      this.#fill();
    }
  }

  /** Breaks what is under way. */
  async close(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#pumps);
    for (const segment of this.#segments.splice(0)) {
      segment.drop();
      this.#options.budget.giveBytes(segment.range.end - segment.position);
    }
  }

  #fill(): void {
    const { planner } = this.#options;
    if (this.#stop.signal.aborted) return;
    while (this.#state === 'open' && planner.connections > 1 && this.#pumps.size < planner.connections && this.#add());
  }

  /** Asks for one more part. False when all are asked for, or the budget allows no more. */
  #add(): boolean {
    const { budget, end } = this.#options;
    const range = { start: this.#next, end: Math.min(end, this.#next + budget.limits.segmentBytes) };
    if (range.start >= range.end || !budget.take(range.end - range.start, this.#segments.length === 0)) return false;
    this.#next = range.end;
    const segment = new Segment(range);
    this.#segments.push(segment);
    const pump = this.#pump(segment).finally(() => {
      budget.giveConnection();
      this.#pumps.delete(pump);
      this.#fill();
    });
    this.#pumps.add(pump);
    return true;
  }

  /** Never rejects: the segment tells its reader. */
  async #pump(segment: Segment): Promise<void> {
    const { context, blob } = this.#options.parts;
    const setbacks = new Setbacks({ ...this.#call, sleep: context.http.sleep, id: blob.digest }, segment.range.start);
    try {
      while (segment.arrived < segment.range.end) {
        const error = await this.#attempt(segment);
        if (error !== undefined) await setbacks.endure(error, segment.arrived);
      }
      segment.finish();
    } catch (error) {
      // what is not transient is for the one connection to find out, by its own rules
      if (error instanceof TransientError && this.#state === 'open') segment.fail(error);
      else if (!this.#stop.signal.aborted) this.#state = error instanceof TransientError ? 'failed' : 'refused';
      segment.finish();
    }
  }

  /** Undefined, or the failure after which another attempt makes sense. */
  async #attempt(segment: Segment): Promise<TransientError | undefined> {
    const { parts, planner } = this.#options;
    const { end } = segment.range;
    const asked = performance.now();
    try {
      const bytes = await parts.openExactly({ start: segment.arrived, end }, this.#call);
      if (bytes === undefined) throw new RangeRefusedError();
      this.#answered(performance.now() - asked);
      for await (const chunk of bytes) {
        segment.push(chunk);
        planner.arrived(chunk.byteLength);
      }
      return segment.arrived < end ? parts.cutOff(segment.arrived, end) : undefined;
    } catch (error) {
      this.#call.signal?.throwIfAborted();
      if (!(error instanceof TransientError) || this.#state === 'asked') throw error;
      // an answer, not a broken connection: the server has had enough
      if (error.code !== 'NETWORK') planner.trouble();
      return error;
    }
  }

  #answered(ms: number): void {
    this.#options.planner.answered(ms);
    if (this.#state !== 'asked') return;
    this.#state = 'open';
    this.#options.planner.begin();
    this.#fill();
  }
}

class RangeRefusedError extends Error {}
