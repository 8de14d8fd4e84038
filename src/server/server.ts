import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { KitError } from '../errors.ts';
import type { KitEvent } from '../events.ts';
import type { Authenticate } from './authenticate.ts';
import type { ServedContent } from './content.ts';
import { asDistributionError, DistributionError } from './distribution-error.ts';
import type { ServerState } from './exchange.ts';
import { handleRequest } from './handle-request.ts';
import { namesOfServer } from './named-repository.ts';
import { UploadSessions } from './upload-sessions.ts';
import { WriteLease } from './write-lease.ts';

const MAX_HEADER_BYTES = 16 * 1024;
const HEADERS_MS = 30_000;
/** Between two requests: longer than clients keep a connection, so that none sends on one that is being closed. */
const KEEP_ALIVE_MS = 100_000;
/** A connection on which nothing moves for so long ends, when it is the client's turn. */
const IDLE_MS = 120_000;
/** What is under way when the server is told to end may go on for so long. */
const GRACE_MS = 10_000;
const MAX_CONNECTIONS = 2000;

export interface ServerOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly isReadOnly?: boolean;
  /** Anyone may come in where there is none. */
  readonly authenticate?: Authenticate | undefined;
  /** PEM texts: https. */
  readonly tls?: { readonly cert: string; readonly key: string } | undefined;
  /** How long a client may stand still; two minutes unless told. */
  readonly idleMs?: number;
  readonly onEvent?: ((event: KitEvent) => void) | undefined;
}

export interface RunningServer {
  /** `http://127.0.0.1:5000` */
  readonly url: string;
  readonly host: string;
  readonly port: number;
  /** Lets what is under way end, for a while; deletes what was uploaded in part. */
  close(): Promise<void>;
}

/** Serves the OCI distribution API 1.1. @throws KitError when the address cannot be had or the certificate is none */
export async function startServer(content: ServedContent, options: ServerOptions): Promise<RunningServer> {
  const { idleMs = IDLE_MS } = options;
  const state: ServerState = {
    content,
    idleMs,
    isReadOnly: options.isReadOnly ?? false,
    sessions: new UploadSessions(content.blobs),
    lease: new WriteLease(() => content.lease()),
    inTurn: oneAtATime(),
  };
  const server = makeServer(options);
  const exchanges = new WeakMap<Socket, ServerResponse>();
  const onRequest = (request: IncomingMessage, response: ServerResponse): void => {
    exchanges.set(request.socket, response);
    response.once('close', () => {
      // one that was at work when the server was told to end
      if (!server.listening) server.closeIdleConnections();
    });
    void answer(request, response, state, options, portOf(server));
  };
  server.on('request', onRequest);
  // a body that will be refused is not asked for
  server.on('checkContinue', onRequest);
  server.setTimeout(idleMs, (socket) => {
    const response = exchanges.get(socket);
    const isOurTurn = response !== undefined && response.req.complete && !response.headersSent;
    if (!isOurTurn) socket.destroy();
  });
  await listen(server, options);
  const port = portOf(server);
  return {
    url: `${options.tls === undefined ? 'http' : 'https'}://${options.host.includes(':') ? `[${options.host}]` : options.host}:${port}`,
    host: options.host,
    port,
    async close() {
      await stopServer(server);
      await state.sessions.close();
      await state.lease.end();
    },
  };
}

function makeServer({ tls }: ServerOptions): Server {
  // an upload takes as long as it takes; the idle timeout ends those that stand still
  const limits = { maxHeaderSize: MAX_HEADER_BYTES, headersTimeout: HEADERS_MS, requestTimeout: 0 };
  try {
    const server = tls === undefined ? createServer(limits) : createTlsServer({ ...limits, ...tls, minVersion: 'TLSv1.2' });
    server.maxConnections = MAX_CONNECTIONS;
    server.keepAliveTimeout = KEEP_ALIVE_MS;
    return server;
  } catch (cause) {
    throw new KitError('CONFIG_INVALID', `the TLS certificate or its key cannot be used: ${(cause as Error).message}`, {
      cause,
      hint: 'both must be PEM files, and belong together',
    });
  }
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  server: ServerState,
  { authenticate, onEvent }: ServerOptions,
  port: number,
): Promise<void> {
  response.setHeader('Docker-Distribution-Api-Version', 'registry/2.0');
  response.setHeader('X-Content-Type-Options', 'nosniff');
  try {
    await authenticate?.(request);
    const [path = '', query = ''] = splitOnce(request.url ?? '/', '?');
    if (request.headers.origin !== undefined && request.method !== 'GET' && request.method !== 'HEAD')
      throw new DistributionError(403, 'DENIED', 'a page in a browser may not write here');
    const hosts = namesOfServer(request.headers.host, port);
    await handleRequest({ request, response, query: new URLSearchParams(query), hosts, server }, path);
  } catch (error) {
    const told = asDistributionError(error);
    if (told.status >= 500 && !request.destroyed) {
      const message = `${request.method} ${request.url}: ${error instanceof Error ? error.message : String(error)}`;
      onEvent?.({ type: 'warning', code: 'REQUEST_FAILED', message });
    }
    if (response.headersSent) response.destroy();
    else refuse(request, response, told);
  } finally {
    // what is left of a body that was refused is in the way of the next request
    if (!request.complete) request.resume();
  }
}

function refuse(request: IncomingMessage, response: ServerResponse, { status, code, message, headers }: DistributionError): void {
  const body = Buffer.from(JSON.stringify({ errors: [{ code, message }] }));
  response.writeHead(status, {
    'Content-Type': 'application/json',
    'Content-Length': String(body.byteLength),
    // a client that waits to be asked for the body will not send it
    ...(request.headers.expect !== undefined && { Connection: 'close' }),
    ...headers,
  });
  response.end(request.method === 'HEAD' ? undefined : body);
}

async function listen(server: Server, { host, port }: ServerOptions): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(listenError(error, `${host}:${port}`)));
    server.listen(port, host, resolve);
  });
}

function listenError(cause: NodeJS.ErrnoException, address: string): KitError {
  switch (cause.code) {
    case 'EADDRINUSE':
      return new KitError('IO_FAILED', `${address} is in use by another program`, {
        cause,
        hint: 'choose another port with --addr, or `--addr :0` for any that is free',
      });
    case 'EACCES':
      return new KitError('IO_FAILED', `${address}: permission denied`, { cause, hint: 'ports below 1024 belong to root: choose another' });
    default:
      return new KitError('USAGE', `cannot listen on ${address}: ${cause.message}`, {
        cause,
        hint: '--addr takes HOST:PORT, where HOST is a name or address of this machine',
      });
  }
}

async function stopServer(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeIdleConnections();
  const timer = setTimeout(() => server.closeAllConnections(), GRACE_MS);
  await closed;
  clearTimeout(timer);
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo | null)?.port ?? 0;
}

function oneAtATime(): ServerState['inTurn'] {
  let last: Promise<unknown> = Promise.resolve();
  return async (work) => {
    const done = last.then(work);
    last = done.catch(() => undefined);
    return await done;
  };
}

function splitOnce(text: string, separator: string): string[] {
  const at = text.indexOf(separator);
  return at === -1 ? [text] : [text.slice(0, at), text.slice(at + 1)];
}
