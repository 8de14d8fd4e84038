import { DistributionError } from './distribution-error.ts';
import { type Exchange, type RepositoryExchange, sendJson } from './exchange.ts';
import { NamedRepository } from './named-repository.ts';
import { parseRoute, type Route } from './route.ts';
import { serveBlob } from './serve-blob.ts';
import { serveCatalog, serveReferrers, serveTags } from './serve-lists.ts';
import { serveManifest } from './serve-manifest.ts';
import { beginUpload, serveUpload } from './serve-upload.ts';

const READS: readonly string[] = ['GET', 'HEAD'];
const METHODS: Readonly<Record<Route['kind'], readonly string[]>> = {
  base: READS,
  catalog: READS,
  tags: READS,
  referrers: READS,
  blob: [...READS, 'DELETE'],
  manifest: [...READS, 'PUT', 'DELETE'],
  uploads: ['POST'],
  upload: ['GET', 'PATCH', 'PUT', 'DELETE'],
};

/** Answers a request that may be made. @throws DistributionError */
export async function handleRequest(exchange: Exchange, path: string): Promise<void> {
  const route = parseRoute(path);
  if (route === undefined) throw new DistributionError(404, 'UNSUPPORTED', 'no such endpoint');
  const method = exchange.request.method ?? '';
  if (!METHODS[route.kind].includes(method)) throw notAllowed(route);
  if (exchange.server.isReadOnly && !READS.includes(method))
    throw new DistributionError(405, 'UNSUPPORTED', 'this registry is read-only', { Allow: READS.join(', ') });
  if (route.kind === 'base') return sendJson(exchange, {});
  if (route.kind === 'catalog') return await serveCatalog(exchange);
  const { repository: name } = route;
  await serveRepository({ ...exchange, name, repository: new NamedRepository(exchange.server.content, name, exchange.hosts) }, route);
}

async function serveRepository(exchange: RepositoryExchange, route: Exclude<Route, { readonly kind: 'base' | 'catalog' }>): Promise<void> {
  switch (route.kind) {
    case 'tags':
      return await serveTags(exchange);
    case 'uploads':
      return await beginUpload(exchange);
    case 'upload':
      return await serveUpload(exchange, route.id);
    case 'manifest':
      return await serveManifest(exchange, route.reference);
    case 'blob':
      return await serveBlob(exchange, route.digest);
    case 'referrers':
      return await serveReferrers(exchange, route.digest);
  }
}

function notAllowed({ kind }: Route): DistributionError {
  return new DistributionError(405, 'UNSUPPORTED', 'the operation is unsupported', { Allow: METHODS[kind].join(', ') });
}
