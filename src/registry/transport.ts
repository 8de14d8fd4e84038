import type { Bytes } from '../blob-source.ts';
import { DirectExchange, isStream } from './direct-exchange.ts';
import type { Exchange, ExchangeLimits, ExchangeResponse, Method } from './exchange.ts';
import { GetPool } from './get-pool.ts';
import { networkError } from './network-error.ts';
import type { NetworkOptions } from './options.ts';
import { ProxiedExchange } from './proxied-exchange.ts';
import { proxyFor } from './proxy.ts';
import { type StallLimits, watchReceived, watchSent } from './stall.ts';
import { HostTls, type TlsSettings } from './tls.ts';

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

/** Its body throws KitError NETWORK (transient) when the connection breaks. */
export interface TransportResponse extends ExchangeResponse {
  /** What was asked. */
  readonly url: URL;
}

const CONNECT_TIMEOUT_MS = 30_000;
const ANSWER_TIMEOUT_MS = 120_000;
/** Bytes per second below which a connection is given up: less than any link that is worth waiting for. */
const MIN_RATE = 256;
const PATIENT_TIMEOUT_MS = 3_600_000;

/** HTTP requests over pooled connections: one answer each, no redirects, no credentials, no retries. */
export class Transport {
  readonly #options: NetworkOptions;
  readonly #direct: DirectExchange;
  readonly #proxied = new Map<string, ProxiedExchange>();
  /** Origins that have answered: a connection refused there later may pass. */
  readonly #reached = new Set<string>();
  readonly #stall: StallLimits;
  readonly #gets: GetPool;
  /** Origins whose answers are not of the plain kind. */
  readonly #unusual = new Set<string>();
  readonly #limits: ExchangeLimits;
  readonly #tls: HostTls;
  readonly #tlsFor = async (url: URL): Promise<TlsSettings> => await this.#tls.for(url);

  constructor(options: NetworkOptions) {
    this.#options = options;
    this.#tls = new HostTls(options);
    this.#stall = { silenceMs: options.stallTimeoutMs ?? ANSWER_TIMEOUT_MS, minRate: options.minRate ?? MIN_RATE };
    this.#limits = { connectMs: CONNECT_TIMEOUT_MS, silenceMs: this.#stall.silenceMs };
    const connecting = { limits: this.#limits, tls: this.#tlsFor };
    this.#gets = new GetPool(connecting);
    this.#direct = new DirectExchange(connecting);
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
      if (isPlain && this.#options.bodyReader !== 'parser' && !this.#unusual.has(url.origin)) {
        const response = await this.#gets.send({ url, headers, signal });
        this.#reached.add(url.origin);
        if (response !== undefined) return this.#wrap(url, response, fail);
        this.#unusual.add(url.origin);
        signal?.throwIfAborted();
      }
      const stop = new AbortController();
      const response = await this.#exchange(proxy).send({
        method,
        url,
        headers,
        body: isStream(request.body) ? watchSent(request.body, this.#stall, (error) => stop.abort(error)) : request.body,
        signal: signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]),
        answerMs: request.isPatient === true ? PATIENT_TIMEOUT_MS : this.#stall.silenceMs,
      });
      this.#reached.add(url.origin);
      return this.#wrap(url, response, fail);
    } catch (error) {
      throw fail(error);
    }
  }

  /** Closes idle connections and breaks those in use. */
  async close(): Promise<void> {
    const proxied = [...this.#proxied.values()];
    this.#proxied.clear();
    this.#gets.close();
    await Promise.all([this.#direct, ...proxied].map(async (exchange) => await exchange.close()));
  }

  #exchange(proxy: URL | undefined): Exchange {
    if (proxy === undefined) return this.#direct;
    const exchange = this.#proxied.get(proxy.href) ?? new ProxiedExchange({ proxy, limits: this.#limits, tls: this.#tlsFor });
    this.#proxied.set(proxy.href, exchange);
    return exchange;
  }

  #wrap(url: URL, response: ExchangeResponse, fail: (error: unknown) => unknown): TransportResponse {
    return { ...response, url, body: explained(watchReceived(response.body, this.#stall), fail) };
  }
}

async function* explained(body: Bytes, fail: (error: unknown) => unknown): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield* body;
  } catch (error) {
    throw fail(error);
  }
}
