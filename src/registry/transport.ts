import { isIP } from 'node:net';
import type { Agent, Dispatcher } from 'undici';
import type { Bytes } from '../blobs/source.ts';
import { GetPool, type PlainResponse } from './get-pool.ts';
import { networkError } from './network-error.ts';
import type { NetworkOptions } from './options.ts';
import { proxyFor } from './proxy.ts';
import { type StallLimits, watchReceived, watchSent } from './stall.ts';
import { HostTls } from './tls.ts';

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
/** Bytes per second below which a connection is given up: less than any link that is worth waiting for. */
const MIN_RATE = 256;
const PATIENT_TIMEOUT_MS = 3_600_000;
const DISCARD_LIMIT = 64 * 1024;

/** HTTP requests over pooled connections: one answer each, no redirects, no credentials, no retries. */
export class Transport {
  readonly #options: NetworkOptions;
  readonly #dispatchers = new Map<string, Promise<Dispatcher>>();
  /** Origins that have answered: a connection refused there later may pass. */
  readonly #reached = new Set<string>();
  readonly #stall: StallLimits;
  readonly #gets: GetPool;
  /** Origins whose answers are not of the plain kind. */
  readonly #unusual = new Set<string>();
  readonly #tls: HostTls;

  constructor(options: NetworkOptions) {
    this.#options = options;
    this.#tls = new HostTls(options);
    this.#stall = { silenceMs: options.stallTimeoutMs ?? ANSWER_TIMEOUT_MS, minRate: options.minRate ?? MIN_RATE };
    const timeouts = { connectMs: CONNECT_TIMEOUT_MS, stallMs: this.#stall.silenceMs };
    this.#gets = new GetPool({ timeouts, tls: async (to) => await this.#tls.for(to) });
  }

  /** @throws KitError NETWORK | TLS_FAILED | CONFIG_INVALID; the signal's reason when aborted */
  async send(request: TransportRequest): Promise<TransportResponse> {
    const { method, url, signal } = request;
    signal?.throwIfAborted();
    const proxy = proxyFor(url, this.#options);
    const fail = (error: unknown) => {
      signal?.throwIfAborted();
      return networkError(error, { method, url, proxy, wasReached: this.#reached.has(url.origin) });
    };
    const headers = { 'user-agent': this.#options.userAgent ?? 'ocikit', 'accept-encoding': 'identity', ...request.headers };
    try {
      const isPlain = method === 'GET' && request.isBulk === true && request.body === undefined && proxy === undefined;
      if (isPlain && this.#options.bodyReader !== 'undici' && !this.#unusual.has(url.origin)) {
        const response = await this.#gets.send({ url, headers, signal });
        this.#reached.add(url.origin);
        if (response !== undefined) return wrapPlain(request, response, this.#reader(fail));
        this.#unusual.add(url.origin);
        signal?.throwIfAborted();
      }
      const dispatcher = await this.#dispatcher(url, proxy);
      const stop = new AbortController();
      const body = isStream(request.body) ? watchSent(request.body, this.#stall, (error) => stop.abort(error)) : request.body;
      const response = await dispatcher.request({
        method,
        origin: url.origin,
        path: url.pathname + url.search,
        headers,
        // undici takes any async iterable, its types only know streams
        body: (body ?? null) as Uint8Array | null,
        signal: signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]),
        // undici would close the connection after each HEAD
        reset: false,
        headersTimeout: request.isPatient === true ? PATIENT_TIMEOUT_MS : this.#stall.silenceMs,
        bodyTimeout: this.#stall.silenceMs,
      });
      this.#reached.add(url.origin);
      return wrap(url, response, this.#reader(fail));
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

  /** How bodies of answers are read. */
  #reader(fail: (error: unknown) => unknown): BodyReader {
    const stall = this.#stall;
    return async function* read(this: void, body) {
      try {
        yield* watchReceived(body, stall);
      } catch (error) {
        throw fail(error);
      }
    };
  }

  #dispatcher(url: URL, proxy: URL | undefined): Promise<Dispatcher> {
    // hosts may differ in authorities and certificates
    const key = `${url.protocol === 'https:' ? url.host : 'http'} ${proxy?.href ?? ''}`;
    let dispatcher = this.#dispatchers.get(key);
    if (dispatcher === undefined) {
      dispatcher = this.#createDispatcher(url, proxy);
      this.#dispatchers.set(key, dispatcher);
    }
    return dispatcher;
  }

  async #createDispatcher(url: URL, proxy: URL | undefined): Promise<Dispatcher> {
    // loaded here: most commands never open a connection
    const { Agent, ProxyAgent } = await import('undici');
    const tls = url.protocol === 'https:' ? await this.#tls.for(url) : {};
    const proxyTls = proxy?.protocol === 'https:' ? await this.#tls.for(proxy) : {};
    // HTTP/1.1 only: several connections carry more than the streams of one
    const settings: Agent.Options = { allowH2: false, keepAliveTimeout: 10_000, connect: { ...tls, timeout: CONNECT_TIMEOUT_MS } };
    if (proxy === undefined) return new Agent(settings);
    return new ProxyAgent({ ...settings, uri: proxy.href, requestTls: { ...tls, ...namedIn(url) }, proxyTls });
  }
}

type BodyReader = (body: Bytes) => AsyncGenerator<Uint8Array, void, undefined>;

function isStream(body: Uint8Array | Bytes | undefined): body is Bytes {
  return body !== undefined && !(body instanceof Uint8Array);
}

/** A certificate cannot be asked for by address. */
function namedIn({ hostname }: URL): { readonly servername?: string } {
  return isIP(hostname.replace(/^\[(.*)\]$/, '$1')) === 0 ? {} : { servername: '' };
}

function wrap(url: URL, response: Dispatcher.ResponseData, read: BodyReader): TransportResponse {
  return {
    url,
    status: response.statusCode,
    header: (name) => {
      const value = response.headers[name];
      return Array.isArray(value) ? value.join(', ') : value;
    },
    body: read(response.body),
    discard: async () => {
      try {
        await response.body.dump({ limit: DISCARD_LIMIT });
      } catch {
        // nobody waits for these bytes
      }
    },
  };
}

function wrapPlain({ url, signal }: TransportRequest, response: PlainResponse, read: BodyReader): TransportResponse {
  return {
    url,
    status: response.status,
    header: (name) => response.header(name),
    discard: async () => await response.discard(),
    body: read(readPlain(response, signal)),
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
