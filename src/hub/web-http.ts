import { KitError } from '../errors.ts';
import type { CallOptions } from '../events.ts';
import { isPrivateHost } from '../registry/address.ts';
import type { NetworkOptions, Sleep } from '../registry/options.ts';
import { RangeBudget } from '../registry/range-budget.ts';
import { RANGE_LIMITS } from '../registry/range-planner.ts';
import { redactUrl } from '../registry/redact.ts';
import { timerSleep, withRetry } from '../registry/retry.ts';
import { Transport, type TransportResponse } from '../registry/transport.ts';
import { type Explain, webFailure } from './web-failure.ts';

export interface WebRequest {
  readonly method?: 'GET' | 'HEAD' | 'POST';
  readonly url: URL;
  /** What is asked for, as messages and events name it. */
  readonly subject: string;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Sent to the origin of `url` only, and never again once a redirect has left that. */
  readonly authorization?: string | undefined;
  readonly body?: Uint8Array | undefined;
  /** Statuses that the caller handles; all others become errors. */
  readonly accept?: readonly number[];
  /** The answer may be large. */
  readonly isBulk?: boolean;
  /** False: the caller repeats what fails. */
  readonly isRetried?: boolean;
  /** What a refusal by this server means, where that is known. */
  readonly explain?: Explain | undefined;
  readonly call: CallOptions;
}

const MAX_HOPS = 5;
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/** Requests to hubs and web servers, over the connections, proxies and certificates that registries are reached by. */
export class WebHttp {
  readonly sleep: Sleep;
  /** What all files that this client reads share. */
  readonly rangeBudget: RangeBudget;
  readonly #transport: Transport;

  constructor(options: NetworkOptions) {
    this.sleep = options.sleep ?? timerSleep;
    this.rangeBudget = new RangeBudget({ ...RANGE_LIMITS, ...options.ranges });
    this.#transport = new Transport(options);
  }

  /** @throws KitError for every status that is not accepted, and when no answer comes; the signal's reason when aborted */
  async request(request: WebRequest): Promise<TransportResponse> {
    if (request.isRetried === false) return await this.#exchange(request);
    return await withRetry(() => this.#exchange(request), { ...request.call, sleep: this.sleep, id: request.subject });
  }

  /** Breaks what is under way and closes all connections. */
  async close(): Promise<void> {
    await this.#transport.close();
  }

  async #exchange(request: WebRequest): Promise<TransportResponse> {
    const { method = 'GET', authorization, accept = [200] } = request;
    const visited = new Set<string>();
    let { url } = request;
    let isTrusted = true;
    for (;;) {
      isTrusted &&= url.origin === request.url.origin;
      visited.add(url.href);
      const response = await this.#transport.send({
        method,
        url,
        headers: { ...request.headers, ...(isTrusted && authorization !== undefined ? { authorization } : {}) },
        body: request.body,
        signal: request.call.signal,
        isBulk: request.isBulk,
      });
      if (accept.includes(response.status)) return response;
      if (!REDIRECTS.has(response.status)) throw await webFailure({ ...request, method, url, isTrusted }, response);
      await response.discard();
      url = nextHop(request, url, response, visited);
    }
  }
}

function nextHop(request: WebRequest, from: URL, response: TransportResponse, visited: ReadonlySet<string>): URL {
  const location = response.header('location');
  const refuse = (why: string): KitError => new KitError('REGISTRY_ERROR', `${request.subject}: ${why} (GET ${redactUrl(from)})`);
  const url = location === undefined ? null : URL.parse(location, from.href);
  if (url === null || !/^https?:$/.test(url.protocol)) throw refuse('a redirect leads nowhere');
  if (request.method === 'POST' && response.status < 307) throw refuse('a redirect would drop the request body');
  if (from.protocol === 'https:' && url.protocol === 'http:')
    throw refuse(`a redirect from https to http (${redactUrl(url)}) is not followed`);
  if (isPrivateHost(url.hostname) && !isPrivateHost(request.url.hostname))
    throw refuse(`a redirect to a private address (${redactUrl(url)}) is not followed`);
  url.username = '';
  url.password = '';
  url.hash = '';
  if (visited.has(url.href)) throw refuse('redirects form a loop');
  if (visited.size > MAX_HOPS) throw refuse(`more than ${MAX_HOPS} redirects`);
  return url;
}
