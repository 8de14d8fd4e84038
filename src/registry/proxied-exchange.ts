import { isIP } from 'node:net';
import type { ProxyAgent } from 'undici';
import { DISCARD_LIMIT, type Exchange, type ExchangeLimits, type ExchangeRequest, type ExchangeResponse, KEPT_MS } from './exchange.ts';
import type { TlsSettings } from './tls.ts';

interface ProxiedOptions {
  readonly proxy: URL;
  readonly limits: ExchangeLimits;
  readonly tls: (url: URL) => Promise<TlsSettings>;
}

/** Requests by way of one proxy: forwarded for http, through a tunnel for https. */
export class ProxiedExchange implements Exchange {
  readonly #options: ProxiedOptions;
  readonly #agents = new Map<string, Promise<ProxyAgent>>();

  constructor(options: ProxiedOptions) {
    this.#options = options;
  }

  async send({ method, url, headers, body, signal, answerMs }: ExchangeRequest): Promise<ExchangeResponse> {
    const agent = await this.#agent(url);
    const response = await agent.request({
      method,
      origin: url.origin,
      path: url.pathname + url.search,
      headers,
      // undici takes any async iterable, its types only know streams
      body: (body ?? null) as Uint8Array | null,
      signal: signal ?? null,
      // undici would close the connection after each HEAD
      reset: false,
      headersTimeout: answerMs,
      bodyTimeout: this.#options.limits.silenceMs,
    });
    return {
      status: response.statusCode,
      header: (name) => {
        const value = response.headers[name];
        return Array.isArray(value) ? value.join(', ') : value;
      },
      body: response.body,
      discard: async () => {
        try {
          await response.body.dump({ limit: DISCARD_LIMIT });
        } catch {
          // nobody waits for these bytes
        }
      },
    };
  }

  async close(): Promise<void> {
    const agents = [...this.#agents.values()];
    this.#agents.clear();
    await Promise.allSettled(agents.map(async (agent) => (await agent).destroy()));
  }

  #agent(url: URL): Promise<ProxyAgent> {
    // hosts may differ in authorities and certificates
    const key = url.protocol === 'https:' ? url.host : 'http';
    let agent = this.#agents.get(key);
    if (agent === undefined) {
      agent = this.#createAgent(url);
      this.#agents.set(key, agent);
    }
    return agent;
  }

  async #createAgent(url: URL): Promise<ProxyAgent> {
    const { proxy, limits, tls } = this.#options;
    // loaded here: most have no proxy
    const { ProxyAgent: Agent } = await import('undici');
    const requestTls = url.protocol === 'https:' ? await tls(url) : {};
    const proxyTls = proxy.protocol === 'https:' ? await tls(proxy) : {};
    const connect = { ...requestTls, timeout: limits.connectMs };
    return new Agent({
      uri: proxy.href,
      // HTTP/1.1 only: several connections carry more than the streams of one
      allowH2: false,
      keepAliveTimeout: KEPT_MS,
      connect,
      requestTls: { ...requestTls, ...namedIn(url) },
      proxyTls,
    });
  }
}

/** A certificate cannot be asked for by address. */
function namedIn({ hostname }: URL): { readonly servername?: string } {
  return isIP(hostname.replace(/^\[(.*)\]$/, '$1')) === 0 ? {} : { servername: '' };
}
