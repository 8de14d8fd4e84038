import { pause, type RetryOptions } from './retry.ts';
import { TransientError } from './transient.ts';

/** In a row: with the pauses between them the link, or the registry, may be away for a minute or two. */
const MAX_SETBACKS = 8;
/** A transfer that got so much further than ever before starts to count anew: a large blob may meet many failures on its way. */
const PROGRESS_BYTES = 1024 * 1024;

/** What one transfer endures: any number of failures as long as it gets further, few when it does not. */
export class Setbacks {
  readonly #options: RetryOptions;
  /** The furthest offset that counts: an upload that starts over has to get beyond it. */
  #best: number;
  #count = 0;

  constructor(options: RetryOptions, start = 0) {
    this.#options = options;
    this.#best = start;
  }

  /** Waits until another attempt makes sense. `position` is the offset that was reached. @throws `error` when none does */
  async endure(error: unknown, position: number): Promise<void> {
    this.#options.signal?.throwIfAborted();
    if (position >= this.#best + PROGRESS_BYTES) {
      this.#best = position;
      this.#count = 0;
    }
    this.#count += 1;
    if (!(error instanceof TransientError) || this.#count > MAX_SETBACKS) throw error;
    await pause(this.#count, error, this.#options);
  }
}
