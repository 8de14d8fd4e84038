import { isIP } from 'node:net';
import type { ProxyAgent } from 'undici';
import { literalHost } from './address.ts';
import { Agents } from './agents.ts';
import {
  DISCARD_LIMIT,
  type Exchange,
  type ExchangeLimits,
  type ExchangeRequest,
  type ExchangeResponse,
  joined,
  KEPT_MS,
} from './exchange.ts';
import type { TlsSettings } from './tls.ts';

interface ProxiedOptions {
  readonly proxy: URL;
  readonly limits: ExchangeLimits;
  readonly tls: (url: URL) => Promise<TlsSettings>;
}

/** Requests by way of one proxy: forwarded for http, through a tunnel for https. */
export class ProxiedExchange implements Exchange {
  readonly #options: ProxiedOptions;
  readonly #agents: Agents<ProxyAgent>;

  constructor(options: ProxiedOptions) {
    this.#options = options;
    this.#agents = new Agents(async (url) => await createAgent(url, options));
  }

  async send({ method, url, headers, body, signal, answerMs }: ExchangeRequest): Promise<ExchangeResponse> {
    const agent = await this.#agents.for(url);
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
      header: (name) => joined(response.headers[name]),
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
    await this.#agents.close();
  }
}

async function createAgent(url: URL, { proxy, limits, tls }: ProxiedOptions): Promise<ProxyAgent> {
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

/** A certificate cannot be asked for by address. */
function namedIn(url: URL): { readonly servername?: string } {
  return isIP(literalHost(url)) === 0 ? {} : { servername: '' };
}
