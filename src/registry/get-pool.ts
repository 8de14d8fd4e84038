import { connect as connectTcp, isIP, type Socket } from 'node:net';
import type { ConnectionOptions as TlsOptions } from 'node:tls';
import { literalHost } from './address.ts';
import type { BodyBuffer } from './body-buffer.ts';
import { DISCARD_LIMIT, type ExchangeLimits, type ExchangeRequest, type ExchangeResponse } from './exchange.ts';
import { GetConnection, type GetResponse, type ReadInto, Unanswered } from './get-connection.ts';
import type { TlsSettings } from './tls.ts';

const MAX_IDLE = 16;
// what could end the head of the request, or a part of it
// oxlint-disable-next-line no-control-regex
const UNSAFE_VALUE = /[^\t\u0020-\u007e\u0080-\u00ff]/;
const UNSAFE_NAME = /[^!#$%&'*+.^_`|~0-9A-Za-z-]/;
const UNSAFE_PATH = /[^\u0021-\u007e]/;

type PlainGet = Pick<ExchangeRequest, 'url' | 'headers' | 'signal'>;

interface GetPoolOptions {
  readonly limits: ExchangeLimits;
  readonly tls: (url: URL) => Promise<TlsSettings>;
}

/** Kept connections to any number of origins, for GET requests that are answered in the plain way. */
export class GetPool {
  readonly #options: GetPoolOptions;
  readonly #open = new Set<GetConnection>();
  readonly #idle = new Map<string, GetConnection[]>();

  constructor(options: GetPoolOptions) {
    this.#options = options;
  }

  /** Undefined when the request or its answer is of a kind that this reader leaves to others. @throws the error of the socket */
  async send(request: PlainGet): Promise<ExchangeResponse | undefined> {
    const text = requestHead(request);
    if (text === undefined) return undefined;
    const { origin } = request.url;
    const kept = this.#idle.get(origin)?.pop();
    if (kept !== undefined) {
      try {
        return wrap(kept, await kept.get(text, request.signal), request.signal);
      } catch (error) {
        // the server had closed it meanwhile
        if (!(error instanceof Unanswered)) throw error;
      }
    }
    const connection = await this.#connect(request.url);
    try {
      return wrap(connection, await connection.get(text, request.signal), request.signal);
    } catch (error) {
      throw error instanceof Unanswered ? (error.cause ?? error) : error;
    }
  }

  /** Closes idle connections and breaks those in use. */
  close(): void {
    for (const connection of this.#open) connection.close();
    this.#idle.clear();
  }

  async #connect(url: URL): Promise<GetConnection> {
    const isSecure = url.protocol === 'https:';
    const open = isSecure ? tlsOpener(url, await this.#options.tls(url)) : tcpOpener(url);
    const connection = new GetConnection({
      open,
      readyEvent: isSecure ? 'secureConnect' : 'connect',
      limits: this.#options.limits,
      onIdle: (idle) => {
        const list = this.#idle.get(url.origin) ?? [];
        this.#idle.set(url.origin, list);
        if (list.length < MAX_IDLE) list.push(idle);
        else idle.close();
      },
      onClose: (closed) => {
        this.#open.delete(closed);
        const list = this.#idle.get(url.origin) ?? [];
        const at = list.indexOf(closed);
        if (at !== -1) list.splice(at, 1);
      },
    });
    this.#open.add(connection);
    return connection;
  }
}

type Opener = (onread: ReadInto) => Socket;

function tcpOpener(url: URL): Opener {
  return (onread) => connectTcp({ host: literalHost(url), port: Number(url.port || 80), onread: { ...onread } });
}

function tlsOpener(url: URL, settings: TlsSettings): Opener {
  // loaded here: 10 ms that plain http does not need
  const { connect } = process.getBuiltinModule('node:tls');
  const host = literalHost(url);
  // a name of the certificate cannot be asked for by address
  const to = {
    host,
    port: Number(url.port || 443),
    ...settings,
    ALPNProtocols: ['http/1.1'],
    ...(isIP(host) === 0 && { servername: host }),
  };
  return (onread) => {
    const options: TlsOptions & { onread: ReadInto } = { ...to, onread: { ...onread } };
    return connect(options);
  };
}

/** Undefined when a part of it could be taken for more than it is. */
function requestHead({ url, headers }: PlainGet): string | undefined {
  const target = url.pathname + url.search;
  const fields = Object.entries({ host: url.host, connection: 'keep-alive', ...headers });
  if (UNSAFE_PATH.test(target) || fields.some(([name, value]) => name === '' || UNSAFE_NAME.test(name) || UNSAFE_VALUE.test(value))) {
    return undefined;
  }
  return `GET ${target} HTTP/1.1\r\n${fields.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`;
}

function wrap(connection: GetConnection, response: GetResponse | undefined, signal: AbortSignal | undefined): ExchangeResponse | undefined {
  if (response === undefined) return undefined;
  const { head, body } = response;
  const leave = (): void => {
    // whole bodies have given their connection back already
    if (body.left > 0) connection.close();
    body.drop();
  };
  return {
    status: head.status,
    header: (name) => head.headers.get(name),
    body: read(body, signal, leave),
    discard: async () => await discard(body, leave),
  };
}

async function* read(body: BodyBuffer, signal: AbortSignal | undefined, leave: () => void): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    for (;;) {
      signal?.throwIfAborted();
      const chunk = await body.next();
      if (chunk === undefined) return;
      yield chunk;
    }
  } finally {
    leave();
  }
}

async function discard(body: BodyBuffer, leave: () => void): Promise<void> {
  try {
    if (body.left <= DISCARD_LIMIT) while ((await body.next()) !== undefined);
  } catch {
    // nobody waits for these bytes
  }
  leave();
}
