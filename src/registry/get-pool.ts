import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls, type ConnectionOptions as TlsOptions } from 'node:tls';
import type { BodyBuffer } from './body-buffer.ts';
import { type ConnectionTimeouts, GetConnection, type GetResponse, type ReadInto, Unanswered } from './get-connection.ts';
import type { TlsSettings } from './tls.ts';

const MAX_IDLE = 16;
/** What is worth reading away to keep a connection. */
const DISCARD_LIMIT = 64 * 1024;
// what could end the head of the request, or a part of it
// oxlint-disable-next-line no-control-regex
const UNSAFE_VALUE = /[^\t\u0020-\u007e\u0080-\u00ff]/;
const UNSAFE_NAME = /[^!#$%&'*+.^_`|~0-9A-Za-z-]/;
const UNSAFE_PATH = /[^\u0021-\u007e]/;

export interface PlainGet {
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly signal: AbortSignal | undefined;
}

export interface PlainResponse {
  readonly status: number;
  header(name: string): string | undefined;
  /** Bytes, or undefined at the end. */
  next(): Promise<Uint8Array | undefined>;
  /** Gives up the rest of the body; the connection stays where that is cheap. */
  discard(): Promise<void>;
  /** Gives up the rest of the body and the connection. */
  leave(): void;
}

export interface GetPoolOptions {
  readonly timeouts: ConnectionTimeouts;
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
  async send(request: PlainGet): Promise<PlainResponse | undefined> {
    const text = requestHead(request);
    if (text === undefined) return undefined;
    const { origin } = request.url;
    const kept = this.#idle.get(origin)?.pop();
    if (kept !== undefined) {
      try {
        return wrap(kept, await kept.get(text, request.signal));
      } catch (error) {
        // the server had closed it meanwhile
        if (!(error instanceof Unanswered)) throw error;
      }
    }
    const connection = await this.#connect(request.url);
    try {
      return wrap(connection, await connection.get(text, request.signal));
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
    const tls = isSecure ? await this.#options.tls(url) : undefined;
    const connection = new GetConnection({
      open: (onread) => openSocket(url, onread, tls),
      readyEvent: isSecure ? 'secureConnect' : 'connect',
      timeouts: this.#options.timeouts,
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

function openSocket(url: URL, read: ReadInto, tls: TlsSettings | undefined): Socket {
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  const onread = { buffer: read.buffer, callback: read.callback };
  const port = Number(url.port || (tls === undefined ? 80 : 443));
  if (tls === undefined) return connectTcp({ host, port, onread });
  const options: TlsOptions & { onread: typeof onread } = { host, port, onread, ...tls, ALPNProtocols: ['http/1.1'] };
  // a name of the certificate cannot be asked for by address
  return connectTls(isIP(host) === 0 ? { ...options, servername: host } : options);
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

function wrap(connection: GetConnection, response: GetResponse | undefined): PlainResponse | undefined {
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
    next: async () => await body.next(),
    discard: async () => await discard(body, leave),
    leave,
  };
}

async function discard(body: BodyBuffer, leave: () => void): Promise<void> {
  try {
    if (body.left <= DISCARD_LIMIT) while ((await body.next()) !== undefined);
  } catch {
    // nobody waits for these bytes
  }
  leave();
}
