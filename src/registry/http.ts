import type { Bytes } from '../blob-source.ts';
import type { CallOptions } from '../events.ts';
import { Authenticator, type Authorization } from './auth.ts';
import type { Endpoint } from './endpoint.ts';
import type { Method } from './exchange.ts';
import { type FailedExchange, registryFailure, type Subject } from './failure.ts';
import { leadsInside } from './location.ts';
import type { NetworkOptions, Sleep } from './options.ts';
import { RangeBudget } from './range-budget.ts';
import { RANGE_LIMITS } from './range-planner.ts';
import { isRedirect, nextHop } from './redirect.ts';
import { timerSleep, withRetry } from './retry.ts';
import { Transport, type TransportResponse } from './transport.ts';
import { UploadRecords } from './upload-records.ts';

export interface RegistryRequest {
  readonly endpoint: Endpoint;
  readonly method: Method;
  readonly url: URL;
  readonly subject: Subject;
  /** Token scopes, such as `repository:team/model:pull,push`. */
  readonly scopes: readonly string[];
  /** Statuses that the caller handles; all others become errors. */
  readonly accept: readonly number[];
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Called for each attempt: the body can be sent again. */
  readonly body?: (() => Uint8Array | Bytes) | undefined;
  /** False: the caller retries a larger step. */
  readonly isRetried?: boolean | undefined;
  readonly isPatient?: boolean | undefined;
  /** The answer is a blob. */
  readonly isBulk?: boolean | undefined;
  readonly call: CallOptions;
}

/** Requests to registries: credentials on demand, redirects by hand, transient failures retried, errors explained. */
export class RegistryHttp {
  readonly sleep: Sleep;
  /** What all blobs that this client reads share. */
  readonly rangeBudget: RangeBudget;
  readonly uploads: UploadRecords;
  readonly #transport: Transport;
  readonly #authenticator: Authenticator;

  constructor(options: NetworkOptions) {
    this.sleep = options.sleep ?? timerSleep;
    this.rangeBudget = new RangeBudget({ ...RANGE_LIMITS, ...options.ranges });
    this.uploads = new UploadRecords(options.home);
    this.#transport = new Transport(options);
    this.#authenticator = new Authenticator(this.#transport, options);
  }

  /** @throws KitError for every status that is not accepted, and when no answer comes; the signal's reason when aborted */
  async request(request: RegistryRequest): Promise<TransportResponse> {
    if (request.isRetried === false) return this.#exchange(request);
    return withRetry(() => this.#exchange(request), { ...request.call, sleep: this.sleep, id: request.subject.name });
  }

  async close(): Promise<void> {
    await this.#transport.close();
  }

  async #exchange(request: RegistryRequest): Promise<TransportResponse> {
    const { endpoint, scopes, call } = request;
    const isOwn = request.url.origin === endpoint.origin;
    let sent = isOwn ? await this.#authenticator.authorize(endpoint, scopes, call.signal) : undefined;
    let answer = await this.#follow(request, sent);
    if (answer.response.status === 401 && answer.isTrusted) {
      const renewed = await this.#authenticator.answer(endpoint, answer.response.header('www-authenticate'), {
        scopes,
        sent,
        signal: call.signal,
      });
      if (renewed !== undefined) {
        await answer.response.discard();
        sent = renewed;
        answer = await this.#follow(request, sent);
      }
    }
    const { response, url } = answer;
    if (request.accept.includes(response.status)) return response;
    const isAuthenticated = answer.isTrusted && sent?.isAuthenticated === true;
    throw await registryFailure(failed(request, url, isAuthenticated), response);
  }

  /** Follows redirects. The Authorization header goes to the registry's origin only, and never again once that was left. */
  async #follow(request: RegistryRequest, authorization: Authorization | undefined): Promise<Answer> {
    const { endpoint, method, call } = request;
    const visited = new Set<string>();
    let { url } = request;
    let isTrusted = true;
    for (;;) {
      isTrusted &&= url.origin === endpoint.origin;
      visited.add(url.href);
      const response = await this.#transport.send({
        method,
        url,
        headers: {
          ...request.headers,
          ...(isTrusted ? endpoint.headers : {}),
          ...(isTrusted && authorization !== undefined ? { authorization: authorization.header } : {}),
        },
        body: request.body?.(),
        signal: call.signal,
        isPatient: request.isPatient,
        isBulk: request.isBulk,
      });
      if (!isRedirect(response) || request.accept.includes(response.status)) return { response, url, isTrusted };
      await response.discard();
      const { name: subject } = request.subject;
      url = nextHop({ method, subject, from: url, response, visited, leadsInside: (to) => leadsInside(to, endpoint) });
    }
  }
}

interface Answer {
  readonly response: TransportResponse;
  readonly url: URL;
  /** The answer comes from the registry itself, with no other host on the way. */
  readonly isTrusted: boolean;
}

function failed({ method, subject, endpoint }: RegistryRequest, url: URL, isAuthenticated: boolean): FailedExchange {
  return { method, url, subject, endpoint, isAuthenticated };
}
