import type { Agent, ClientRequest, IncomingMessage } from 'node:http';
import type { Bytes } from '../blob-source.ts';
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
import { sendBody } from './send-body.ts';
import type { TlsSettings } from './tls.ts';

interface DirectOptions {
  readonly limits: ExchangeLimits;
  readonly tls: (url: URL) => Promise<TlsSettings>;
}

/** Requests straight to their hosts, over HTTP/1.1: several connections carry more than the streams of one. */
export class DirectExchange implements Exchange {
  readonly #options: DirectOptions;
  readonly #agents: Agents<Agent>;

  constructor(options: DirectOptions) {
    this.#options = options;
    this.#agents = new Agents(async (url) => await createAgent(url, options));
  }

  async send(request: ExchangeRequest): Promise<ExchangeResponse> {
    const outgoing = await this.#open(request);
    try {
      return await this.#exchange(outgoing, request);
    } catch (error) {
      request.signal?.throwIfAborted();
      // the server had closed the kept connection meanwhile; what changes something is sent again by whoever knows whether it did
      if (!outgoing.reusedSocket || !isReset(error) || !isRead(request.method)) throw error;
      return await this.#exchange(await this.#open(request), request);
    }
  }

  async close(): Promise<void> {
    await this.#agents.close();
  }

  async #open({ method, url, headers, signal }: ExchangeRequest): Promise<ClientRequest> {
    // not imported: that would evaluate all that node:http hands out, WebSocket with its 40 ms too
    const { request } = process.getBuiltinModule(url.protocol === 'https:' ? 'node:https' : 'node:http');
    const agent = await this.#agents.for(url);
    signal?.throwIfAborted();
    const options = {
      protocol: url.protocol,
      hostname: literalHost(url),
      port: url.port,
      path: url.pathname + url.search,
      method,
      headers,
      agent,
    };
    return request(signal === undefined ? options : { ...options, signal });
  }

  async #exchange(outgoing: ClientRequest, { body, headers, answerMs }: ExchangeRequest): Promise<ExchangeResponse> {
    const answered = Promise.withResolvers<IncomingMessage>();
    outgoing.once('response', answered.resolve);
    // after the answer the error is that of its body
    outgoing.on('error', answered.reject);
    const connecting = this.#limitConnecting(outgoing);
    let waiting: NodeJS.Timeout | undefined;
    let failure: { readonly error: unknown } | undefined;
    let isOver = false;
    const sent = send(outgoing, body, headers).then(
      () => {
        if (!isOver) waiting = setTimeout(() => outgoing.destroy(timedOut('no answer came in time')), answerMs);
      },
      (error: unknown) => {
        failure = { error };
        outgoing.destroy();
      },
    );
    try {
      const incoming = await answered.promise;
      await sent;
      if (failure !== undefined) throw failure.error;
      return wrap(outgoing, incoming, this.#options.limits.silenceMs);
    } catch (error) {
      throw failure === undefined ? error : failure.error;
    } finally {
      isOver = true;
      clearTimeout(connecting);
      clearTimeout(waiting);
    }
  }

  #limitConnecting(outgoing: ClientRequest): NodeJS.Timeout {
    const timer = setTimeout(() => outgoing.destroy(timedOut('no connection')), this.#options.limits.connectMs);
    const stop = (): void => clearTimeout(timer);
    outgoing.once('socket', (socket) => {
      if (socket.connecting) socket.once(outgoing.protocol === 'https:' ? 'secureConnect' : 'connect', stop);
      else stop();
    });
    return timer;
  }
}

async function createAgent(url: URL, { tls }: DirectOptions): Promise<Agent> {
  const kept = { keepAlive: true, timeout: KEPT_MS };
  if (url.protocol !== 'https:') return new (process.getBuiltinModule('node:http').Agent)(kept);
  return new (process.getBuiltinModule('node:https').Agent)({ ...kept, ...(await tls(url)) });
}

export function isStream(body: Uint8Array | Bytes | undefined): body is Bytes {
  return body !== undefined && !(body instanceof Uint8Array);
}

async function send(outgoing: ClientRequest, body: ExchangeRequest['body'], headers: ExchangeRequest['headers']): Promise<void> {
  const length = headers['content-length'];
  if (isStream(body)) await sendBody(outgoing, body, length === undefined ? undefined : Number(length));
  else outgoing.end(body);
}

function wrap(outgoing: ClientRequest, incoming: IncomingMessage, silenceMs: number): ExchangeResponse {
  const body = (): AsyncGenerator<Uint8Array, void, undefined> => readBody(outgoing, incoming, silenceMs);
  return {
    status: incoming.statusCode ?? 0,
    header: (name) => joined(incoming.headers[name]),
    body: body(),
    discard: async () => {
      let size = 0;
      try {
        for await (const chunk of body()) if ((size += chunk.byteLength) > DISCARD_LIMIT) break;
      } catch {
        // nobody waits for these bytes
      }
    },
  };
}

async function* readBody(
  outgoing: ClientRequest,
  incoming: IncomingMessage,
  silenceMs: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  const iterator = incoming[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>;
  try {
    for (;;) {
      const timer = setTimeout(() => incoming.destroy(timedOut('no bytes came in time')), silenceMs);
      const step = await iterator.next().finally(() => clearTimeout(timer));
      if (step.done === true) return;
      yield step.value;
    }
  } finally {
    await iterator.return?.();
    // what is left of a request that was answered early would be taken for the next one
    if (!outgoing.writableEnded) outgoing.destroy();
  }
}

function isRead(method: ExchangeRequest['method']): boolean {
  return method === 'GET' || method === 'HEAD';
}

function isReset(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ECONNRESET' || error.code === 'EPIPE');
}

function timedOut(message: string): Error {
  return Object.assign(new Error(message), { code: 'ETIMEDOUT' });
}
