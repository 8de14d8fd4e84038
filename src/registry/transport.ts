import type { Agent, Dispatcher } from 'undici';
import type { Bytes } from '../blobs/source.ts';
import { networkError } from './network-error.ts';
import type { NetworkOptions } from './options.ts';
import { proxyFor } from './proxy.ts';
import { tlsSettings } from './tls.ts';

export type Method = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

export interface TransportRequest {
  readonly method: Method;
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | Bytes | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Waits for the answer as long as a registry may need to check a large upload. */
  readonly isPatient?: boolean | undefined;
}

export interface TransportResponse {
  readonly status: number;
  /** A header by its lower-case name; repeated ones are joined by commas. */
  header(name: string): string | undefined;
  /** @throws KitError NETWORK (transient) when the connection breaks. Leaving the iteration closes the connection. */
  readonly body: Bytes;
  /** Reads the body away, so that the connection can be used again; at most 64 KiB. */
  discard(): Promise<void>;
}

const ANSWER_TIMEOUT_MS = 120_000;
const PATIENT_TIMEOUT_MS = 3_600_000;
const DISCARD_LIMIT = 64 * 1024;

/** HTTP requests over pooled connections: one answer each, no redirects, no credentials, no retries. */
export class Transport {
  readonly #options: NetworkOptions;
  readonly #dispatchers = new Map<string, Promise<Dispatcher>>();
  /** Origins that have answered: a connection refused there later may pass. */
  readonly #reached = new Set<string>();

  constructor(options: NetworkOptions) {
    this.#options = options;
  }

  /** @throws KitError NETWORK | TLS_FAILED | CONFIG_INVALID; the signal's reason when aborted */
  async send(request: TransportRequest): Promise<TransportResponse> {
    const { method, url, signal } = request;
    signal?.throwIfAborted();
    const fail = (error: unknown) => {
      signal?.throwIfAborted();
      return networkError(error, { method, url, wasReached: this.#reached.has(url.origin) });
    };
    const dispatcher = await this.#dispatcher(url);
    try {
      const response = await dispatcher.request({
        method,
        origin: url.origin,
        path: url.pathname + url.search,
        headers: { 'user-agent': this.#options.userAgent ?? 'ocikit', 'accept-encoding': 'identity', ...request.headers },
        // undici takes any async iterable, its types only know streams
        body: (request.body ?? null) as Uint8Array | null,
        signal: signal ?? null,
        // undici would close the connection after each HEAD
        reset: false,
        headersTimeout: request.isPatient === true ? PATIENT_TIMEOUT_MS : ANSWER_TIMEOUT_MS,
        bodyTimeout: ANSWER_TIMEOUT_MS,
      });
      this.#reached.add(url.origin);
      return wrap(response, fail);
    } catch (error) {
      throw fail(error);
    }
  }

  /** Closes idle connections and breaks those in use. */
  async close(): Promise<void> {
    const dispatchers = [...this.#dispatchers.values()];
    this.#dispatchers.clear();
    await Promise.allSettled(dispatchers.map(async (dispatcher) => (await dispatcher).destroy()));
  }

  #dispatcher(url: URL): Promise<Dispatcher> {
    const proxy = proxyFor(url, this.#options);
    const key = `${url.protocol} ${proxy?.href ?? ''}`;
    let dispatcher = this.#dispatchers.get(key);
    if (dispatcher === undefined) {
      dispatcher = createDispatcher(url.protocol === 'https:' || proxy?.protocol === 'https:', proxy, this.#options);
      this.#dispatchers.set(key, dispatcher);
    }
    return dispatcher;
  }
}

async function createDispatcher(needsTls: boolean, proxy: URL | undefined, options: NetworkOptions): Promise<Dispatcher> {
  // loaded here: most commands never open a connection
  const { Agent, ProxyAgent } = await import('undici');
  const tls = needsTls ? await tlsSettings(options) : {};
  // HTTP/1.1 only: several connections carry more than the streams of one
  const settings: Agent.Options = { allowH2: false, keepAliveTimeout: 10_000, connect: { ...tls, timeout: 30_000 } };
  if (proxy === undefined) return new Agent(settings);
  return new ProxyAgent({ ...settings, uri: proxy.href, requestTls: tls, proxyTls: tls });
}

function wrap(response: Dispatcher.ResponseData, fail: (error: unknown) => unknown): TransportResponse {
  return {
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
