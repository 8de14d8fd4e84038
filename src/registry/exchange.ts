import type { Bytes } from '../blob-source.ts';

export type Method = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/** One request as it goes over the wire. */
export interface ExchangeRequest {
  readonly method: Method;
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array | Bytes | undefined;
  readonly signal: AbortSignal | undefined;
  /** Milliseconds that the answer may take once all is sent. */
  readonly answerMs: number;
}

export interface ExchangeResponse {
  readonly status: number;
  /** A header by its lower-case name; repeated ones are joined by commas. */
  header(name: string): string | undefined;
  /** Leaving the iteration closes the connection. */
  readonly body: Bytes;
  /** Reads a small body away, so that the connection can be used again. */
  discard(): Promise<void>;
}

/** Sends requests over kept connections: one answer each, no redirects, no retries. */
export interface Exchange {
  /** @throws the error of the network or of the body that is sent; the signal's reason when aborted */
  send(request: ExchangeRequest): Promise<ExchangeResponse>;
  /** Closes idle connections and breaks those in use. */
  close(): Promise<void>;
}

export interface ExchangeLimits {
  /** Milliseconds until a connection stands, TLS included. */
  readonly connectMs: number;
  /** Milliseconds without a byte. */
  readonly silenceMs: number;
}

/** Bytes of a body that are worth reading away to keep a connection. */
export const DISCARD_LIMIT = 64 * 1024;
/** How long a connection is kept for the next request, in milliseconds. */
export const KEPT_MS = 10_000;

/** A header as one text. */
export function joined(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value.join(', ') : value;
}
