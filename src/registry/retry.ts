import { setTimeout as wait } from 'node:timers/promises';
import { KitError } from '../errors.ts';
import type { CallOptions } from '../events.ts';
import type { Sleep } from './options.ts';
import { TransientError } from './transient.ts';

/** How often a failed request is repeated. What a transfer endures is in `setbacks.ts`. */
const MAX_RETRIES = 3;
const BASE_DELAY_MS = 500;
const MAX_DELAY_MS = 30_000;
/** The longest Retry-After that is waited for. */
const MAX_RETRY_AFTER_MS = 300_000;

export interface RetryOptions extends CallOptions {
  readonly sleep: Sleep;
  /** Names the subject in `retry` events: a digest or reference. */
  readonly id: string;
}

/** Runs `attempt` (numbered from 1) until it does not end in a TransientError, at most 1 + MAX_RETRIES times. */
export async function withRetry<T>(attempt: (number: number) => Promise<T>, options: RetryOptions): Promise<T> {
  for (let number = 1; ; number++) {
    options.signal?.throwIfAborted();
    try {
      return await attempt(number);
    } catch (error) {
      options.signal?.throwIfAborted();
      if (!(error instanceof TransientError) || number > MAX_RETRIES) throw error;
      await pause(number, error, options);
    }
  }
}

/**
 * Announces the repetition after failure `number` and waits for its time.
 * @throws KitError the failure itself, with the time in its hint, when the registry asks for a longer wait than is sane
 */
export async function pause(number: number, error: TransientError, options: RetryOptions): Promise<void> {
  // asking again earlier than the registry wants only prolongs the ban
  if (error.retryAfterMs !== undefined && error.retryAfterMs > MAX_RETRY_AFTER_MS) {
    throw new KitError(error.code, error.message, {
      hint: `the registry asks to wait for ${duration(error.retryAfterMs)}: run the command again then`,
      cause: error,
    });
  }
  const delayMs = retryDelay(number, error.retryAfterMs);
  options.onEvent?.({ type: 'retry', id: options.id, attempt: number + 1, delayMs, cause: error });
  await options.sleep(delayMs, options.signal);
}

/** Milliseconds to wait after failure `number`: what the registry asks for, else exponential with jitter (50-100 %). */
export function retryDelay(number: number, retryAfterMs: number | undefined, random: () => number = Math.random): number {
  if (retryAfterMs !== undefined) return Math.max(0, retryAfterMs);
  const full = Math.min(BASE_DELAY_MS * 2 ** (number - 1), MAX_DELAY_MS);
  return Math.round(full * (0.5 + random() / 2));
}

function duration(ms: number): string {
  const minutes = Math.ceil(ms / 60_000);
  return minutes < 120 ? `${minutes} minutes` : `${Math.ceil(minutes / 60)} hours`;
}

/** Retry-After (RFC 9110, 10.2.3): seconds or a date. Undefined when it is neither. */
export function parseRetryAfter(value: string | undefined, now: number = Date.now()): number | undefined {
  if (value === undefined) return undefined;
  if (/^\d{1,9}$/.test(value.trim())) return Number(value) * 1000;
  // Date.parse takes far more than HTTP dates, `-5` for example
  const date = /^[A-Z][a-z]{2,8},? .*GMT$/.test(value.trim()) ? Date.parse(value) : Number.NaN;
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}

export const timerSleep: Sleep = async (ms, signal) => {
  try {
    await wait(ms, undefined, signal === undefined ? {} : { signal });
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  }
};
