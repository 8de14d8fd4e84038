import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Descriptor } from '../../src/oci/descriptor.ts';
import type { Digest } from '../../src/oci/digest.ts';
import { MEDIA_TYPE } from '../../src/oci/media-types.ts';
import { RegistryAuth, type RegistryAuthOptions } from './registry-auth.ts';
import { type Behaviour, defaultBehaviour, injectFault } from './registry-behaviour.ts';
import { serveBlob, serveUpload } from './registry-blobs.ts';
import { serveManifest, serveReferrers, serveTags, storeManifest } from './registry-manifests.ts';
import { fail, sendJson } from './registry-reply.ts';
import { RegistryStorage } from './registry-storage.ts';

export interface RegistryOptions {
  /** Blobs become files of this directory and cost no memory; without it they are kept in memory. */
  readonly directory?: string;
  readonly auth?: RegistryAuthOptions;
  /** PEM texts: serves https. */
  readonly tls?: { readonly cert: string; readonly key: string; readonly clientCa?: string };
  readonly behaviour?: Partial<Behaviour>;
}

interface LoggedRequest {
  /** `foreign` is the second origin of the same registry: redirects, upload locations and realms can point there. */
  readonly origin: 'registry' | 'foreign';
  readonly method: string;
  /** With the query. */
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  /** Of the client: one connection has one. */
  readonly port: number | undefined;
  /** Of the answer; 0 while there is none or when the connection was cut before one. */
  status: number;
  /** Bytes of request body that arrived. */
  received: number;
}

export interface TestRegistry {
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  /** `127.0.0.1:PORT`, as it stands in a reference. */
  readonly host: string;
  readonly foreignUrl: string;
  /** Every request, in order of arrival. */
  readonly requests: LoggedRequest[];
  /** May be changed between requests. */
  readonly behaviour: Behaviour;
  readonly storage: RegistryStorage;
  readonly auth: RegistryAuth;
  /** `METHOD path -> status` of each request since the last `clear`, with digests and queries cut: for assertions. */
  log(): string[];
  clear(): void;
  /** Puts content without a request. */
  addBlob(repository: string, bytes: Uint8Array): Promise<Digest>;
  addManifest(repository: string, bytes: Uint8Array, tag?: string, mediaType?: string): Descriptor;
  close(): Promise<void>;
}

/** What the handlers of one request share. */
export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly url: URL;
  readonly entry: LoggedRequest;
  readonly registry: TestRegistry;
}

/**
 * An OCI distribution registry (spec 1.1) in this process. It checks digests, blob references and upload order as real
 * ones do; `behaviour` makes it lack features or fail on request. Close it after the test.
 */
export async function startRegistry(options: RegistryOptions = {}): Promise<TestRegistry> {
  const requests: LoggedRequest[] = [];
  const behaviour = { ...defaultBehaviour(), ...options.behaviour };
  const storage = new RegistryStorage(options.directory);
  const auth = new RegistryAuth(options.auth);
  const listen = (origin: LoggedRequest['origin']) =>
    serve(options.tls, (request, response) => {
      const url = new URL(request.url ?? '/', 'http://registry.invalid');
      const entry: LoggedRequest = {
        origin,
        method: request.method ?? '',
        path: request.url ?? '',
        headers: request.headers,
        port: request.socket.remotePort,
        status: 0,
        received: 0,
      };
      requests.push(entry);
      response.once('finish', () => (entry.status = response.statusCode));
      void handle({ request, response, url, entry, registry }).catch((error: unknown) => {
        if (!response.headersSent) fail(response, 500, 'UNKNOWN', String(error));
        else response.destroy();
      });
    });
  const [own, foreign] = await Promise.all([listen('registry'), listen('foreign')]);
  const registry: TestRegistry = {
    url: own.url,
    host: own.url.replace(/^\w+:\/\//, ''),
    foreignUrl: foreign.url,
    requests,
    behaviour,
    storage,
    auth,
    log: () => requests.map(summary),
    clear: () => void requests.splice(0),
    addBlob: (repository, bytes) => storage.addBlob(repository, bytes),
    addManifest: (repository, bytes, tag, mediaType = MEDIA_TYPE.imageManifest) =>
      storeManifest(storage, repository, { bytes, mediaType }, tag),
    close: async () => {
      await Promise.all([own.close(), foreign.close()]);
      await storage.close();
    },
  };
  return registry;
}

function summary(entry: LoggedRequest): string {
  const path = entry.path
    .replace(/\?.*$/, '')
    .replace(/(uploads\/)[\w-]+$/, '$1ID')
    .replace(/sha(256|512):[a-f0-9]+/, 'DIGEST');
  return `${entry.method} ${path} -> ${entry.status}`;
}

async function serve(tls: RegistryOptions['tls'], listener: RequestListener): Promise<{ url: string; close(): Promise<void> }> {
  const client = tls?.clientCa === undefined ? {} : { ca: tls.clientCa, requestCert: true, rejectUnauthorized: true };
  const server = tls === undefined ? createServer(listener) : createTlsServer({ cert: tls.cert, key: tls.key, ...client }, listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

const ROUTE = /^\/v2\/(.+)\/(blobs\/uploads|blobs|manifests|tags|referrers)(?:\/([^/]*))?$/;

async function handle(exchange: Exchange): Promise<void> {
  const { url, registry, response, entry } = exchange;
  // a request body that nobody reads would block the connection
  response.once('finish', () => exchange.request.resume());
  if (await injectFault(exchange)) return;
  if (url.pathname === '/token') return registry.auth.serveToken(exchange);
  const [, repository, kind, tail = ''] = ROUTE.exec(url.pathname) ?? [];
  const scopes = repository === undefined ? [] : neededScopes(entry.method, repository);
  // the foreign origin is a blob store with signed URLs: it never asks for credentials
  if (entry.origin === 'registry' && !registry.auth.admit(exchange, scopes)) return;
  if (url.pathname === '/v2/' || url.pathname === '/v2') return sendJson(response, 200, {});
  if (url.pathname === '/v2/_catalog') return sendJson(response, 200, { repositories: registry.storage.repositories() });
  if (repository === undefined) return fail(response, 404, 'NOT_FOUND', 'no such route');
  if (kind === 'blobs/uploads') return serveUpload(exchange, repository, tail);
  if (kind === 'blobs') return serveBlob(exchange, repository, tail);
  if (kind === 'manifests') return serveManifest(exchange, repository, decodeURIComponent(tail));
  if (kind === 'tags') return serveTags(exchange, repository);
  return serveReferrers(exchange, repository, tail);
}

function neededScopes(method: string, repository: string): string[] {
  const action = method === 'GET' || method === 'HEAD' ? 'pull' : method === 'DELETE' ? 'delete' : 'push';
  return [`repository:${repository}:${action}`];
}
