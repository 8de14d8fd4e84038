import type { CallOptions } from '../events.ts';
import { isPrivateHost } from '../registry/address.ts';
import type { NetworkOptions, Sleep } from '../registry/options.ts';
import { RangeBudget } from '../registry/range-budget.ts';
import { RANGE_LIMITS } from '../registry/range-planner.ts';
import { isRedirect, nextHop } from '../registry/redirect.ts';
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
  /** Sent as `authorization` is. */
  readonly credentials?: Readonly<Record<string, string>> | undefined;
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
    const { method = 'GET', accept = [200] } = request;
    const own = { ...request.credentials, ...(request.authorization !== undefined && { authorization: request.authorization }) };
    const isOutside = !isPrivateHost(request.url.hostname);
    const leadsInside = (to: URL): boolean => isOutside && isPrivateHost(to.hostname);
    const visited = new Set<string>();
    let { url } = request;
    let isTrusted = true;
    for (;;) {
      isTrusted &&= url.origin === request.url.origin;
      visited.add(url.href);
      const response = await this.#transport.send({
        method,
        url,
        headers: { ...request.headers, ...(isTrusted ? own : {}) },
        body: request.body,
        signal: request.call.signal,
        isBulk: request.isBulk,
      });
      if (accept.includes(response.status)) return response;
      if (!isRedirect(response)) throw await webFailure({ ...request, method, url, isTrusted }, response);
      await response.discard();
      url = nextHop({ method, subject: request.subject, from: url, response, visited, leadsInside });
    }
  }
}
