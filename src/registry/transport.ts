import type { Agent, Dispatcher } from 'undici';
import type { Bytes } from '../blobs/source.ts';
import { GetPool, type PlainResponse } from './get-pool.ts';
import { networkError } from './network-error.ts';
import type { NetworkOptions } from './options.ts';
import { proxyFor } from './proxy.ts';
import { type TlsSettings, tlsSettings } from './tls.ts';

export type Method = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

export interface TransportRequest {
  readonly method: Method;
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | Bytes | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Waits for the answer as long as a registry may need to check a large upload. */
  readonly isPatient?: boolean | undefined;
  /** The answer may be large: a GET is read straight from the socket where that can be. */
  readonly isBulk?: boolean | undefined;
}

export interface TransportResponse {
  /** What was asked. */
  readonly url: URL;
  readonly status: number;
  /** A header by its lower-case name; repeated ones are joined by commas. */
  header(name: string): string | undefined;
  /** @throws KitError NETWORK (transient) when the connection breaks. Leaving the iteration closes the connection. */
  readonly body: Bytes;
  /** Reads the body away, so that the connection can be used again; at most 64 KiB. */
  discard(): Promise<void>;
}

const CONNECT_TIMEOUT_MS = 30_000;
const ANSWER_TIMEOUT_MS = 120_000;
const PATIENT_TIMEOUT_MS = 3_600_000;
const DISCARD_LIMIT = 64 * 1024;

/** HTTP requests over pooled connections: one answer each, no redirects, no credentials, no retries. */
export class Transport {
  readonly #options: NetworkOptions;
  readonly #dispatchers = new Map<string, Promise<Dispatcher>>();
  /** Origins that have answered: a connection refused there later may pass. */
  readonly #reached = new Set<string>();
  readonly #stallMs: number;
  readonly #gets: GetPool;
  /** Origins whose answers are not of the plain kind. */
  readonly #unusual = new Set<string>();
  #tls: Promise<TlsSettings> | undefined;

  constructor(options: NetworkOptions) {
    this.#options = options;
    this.#stallMs = options.stallTimeoutMs ?? ANSWER_TIMEOUT_MS;
    const timeouts = { connectMs: CONNECT_TIMEOUT_MS, stallMs: this.#stallMs };
    this.#gets = new GetPool({ timeouts, tls: async () => await this.#tlsSettings() });
  }

  /** @throws KitError NETWORK | TLS_FAILED | CONFIG_INVALID; the signal's reason when aborted */
  async send(request: TransportRequest): Promise<TransportResponse> {
    const { method, url, signal } = request;
    signal?.throwIfAborted();
    const fail = (error: unknown) => {
      signal?.throwIfAborted();
      return networkError(error, { method, url, wasReached: this.#reached.has(url.origin) });
    };
    const proxy = proxyFor(url, this.#options);
    const headers = { 'user-agent': this.#options.userAgent ?? 'ocikit', 'accept-encoding': 'identity', ...request.headers };
    try {
      const isPlain = method === 'GET' && request.isBulk === true && request.body === undefined && proxy === undefined;
      if (isPlain && this.#options.bodyReader !== 'undici' && !this.#unusual.has(url.origin)) {
        const response = await this.#gets.send({ url, headers, signal });
        this.#reached.add(url.origin);
        if (response !== undefined) return wrapPlain(request, response, fail);
        this.#unusual.add(url.origin);
        signal?.throwIfAborted();
      }
      const dispatcher = await this.#dispatcher(url, proxy);
      const response = await dispatcher.request({
        method,
        origin: url.origin,
        path: url.pathname + url.search,
        headers,
        // undici takes any async iterable, its types only know streams
        body: (request.body ?? null) as Uint8Array | null,
        signal: signal ?? null,
        // undici would close the connection after each HEAD
        reset: false,
        headersTimeout: request.isPatient === true ? PATIENT_TIMEOUT_MS : this.#stallMs,
        bodyTimeout: this.#stallMs,
      });
      this.#reached.add(url.origin);
      return wrap(url, response, fail);
    } catch (error) {
      throw fail(error);
    }
  }

  /** Closes idle connections and breaks those in use. */
  async close(): Promise<void> {
    const dispatchers = [...this.#dispatchers.values()];
    this.#dispatchers.clear();
    this.#gets.close();
    await Promise.allSettled(dispatchers.map(async (dispatcher) => (await dispatcher).destroy()));
  }

  async #tlsSettings(): Promise<TlsSettings> {
    this.#tls ??= tlsSettings(this.#options);
    return await this.#tls;
  }

  #dispatcher(url: URL, proxy: URL | undefined): Promise<Dispatcher> {
    const key = `${url.protocol} ${proxy?.href ?? ''}`;
    let dispatcher = this.#dispatchers.get(key);
    if (dispatcher === undefined) {
      dispatcher = this.#createDispatcher(url.protocol === 'https:' || proxy?.protocol === 'https:', proxy);
      this.#dispatchers.set(key, dispatcher);
    }
    return dispatcher;
  }

  async #createDispatcher(needsTls: boolean, proxy: URL | undefined): Promise<Dispatcher> {
    // loaded here: most commands never open a connection
    const { Agent, ProxyAgent } = await import('undici');
    const tls = needsTls ? await this.#tlsSettings() : {};
    // HTTP/1.1 only: several connections carry more than the streams of one
    const settings: Agent.Options = { allowH2: false, keepAliveTimeout: 10_000, connect: { ...tls, timeout: CONNECT_TIMEOUT_MS } };
    if (proxy === undefined) return new Agent(settings);
    return new ProxyAgent({ ...settings, uri: proxy.href, requestTls: tls, proxyTls: tls });
  }
}

function wrap(url: URL, response: Dispatcher.ResponseData, fail: (error: unknown) => unknown): TransportResponse {
  return {
    url,
    status: response.statusCode,
    header: (name) => {
      const value = response.headers[name];
      return Array.isArray(value) ? value.join(', ') : value;
    },
    body: translateErrors(response.body, fail),
    discard: async () => {
      try {
        await response.body.dump({ limit: DISCARD_LIMIT });
      } catch {
        // nobody waits for these bytes
      }
    },
  };
}

async function* translateErrors(body: Bytes, fail: (error: unknown) => unknown): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield* body;
  } catch (error) {
    throw fail(error);
  }
}

function wrapPlain({ url, signal }: TransportRequest, response: PlainResponse, fail: (error: unknown) => unknown): TransportResponse {
  return {
    url,
    status: response.status,
    header: (name) => response.header(name),
    discard: async () => await response.discard(),
    body: translateErrors(readPlain(response, signal), fail),
  };
}

async function* readPlain(response: PlainResponse, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    for (;;) {
      signal?.throwIfAborted();
      const chunk = await response.next();
      if (chunk === undefined) return;
      yield chunk;
    }
  } finally {
    response.leave();
  }
}
