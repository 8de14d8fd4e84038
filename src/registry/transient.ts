import { type ErrorCode, KitError, type KitErrorOptions } from '../errors.ts';

/** A failure that may pass: the connection broke, or the registry asked to come back later. */
export class TransientError extends KitError {
  /** What Retry-After asks for, in milliseconds. */
  readonly retryAfterMs: number | undefined;

  constructor(code: ErrorCode, message: string, options: KitErrorOptions & { retryAfterMs?: number | undefined } = {}) {
    super(code, message, options);
    this.retryAfterMs = options.retryAfterMs;
  }
}
