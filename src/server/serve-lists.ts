import type { Digest } from '../oci/digest.ts';
import { MEDIA_TYPE } from '../oci/media-types.ts';
import { DistributionError } from './distribution-error.ts';
import { type Exchange, type RepositoryExchange, sendJson } from './exchange.ts';
import { servedNames } from './named-repository.ts';

/** Names that `_catalog` gives where no number was asked for. */
const CATALOG_PAGE = 1000;

/** GET /v2/NAME/tags/list?n=&last= */
export async function serveTags(exchange: RepositoryExchange): Promise<void> {
  const { repository, name } = exchange;
  const tags = await repository.tags();
  if (tags === undefined) throw new DistributionError(404, 'NAME_UNKNOWN', 'repository name not known to registry');
  const { page, headers } = paginate(exchange, `/v2/${name}/tags/list`, tags.toSorted(), Number.POSITIVE_INFINITY);
  sendJson(exchange, { name, tags: page }, headers);
}

/** GET /v2/_catalog?n=&last= (no part of the OCI spec; crane, skopeo and registry UIs ask for it) */
export async function serveCatalog(exchange: Exchange): Promise<void> {
  const { content } = exchange.server;
  const names = servedNames(await content.repositories(), exchange.hosts);
  const { page, headers } = paginate(exchange, '/v2/_catalog', names, CATALOG_PAGE);
  sendJson(exchange, { repositories: page }, headers);
}

/** GET /v2/NAME/referrers/DIGEST?artifactType= : an empty list where there are none, or no such manifest. */
export async function serveReferrers(exchange: RepositoryExchange, subject: Digest): Promise<void> {
  const artifactType = exchange.query.get('artifactType') ?? undefined;
  const manifests = await Array.fromAsync(exchange.repository.referrers(subject, { artifactType }));
  sendJson(
    exchange,
    { schemaVersion: 2, mediaType: MEDIA_TYPE.imageIndex, manifests },
    { 'Content-Type': MEDIA_TYPE.imageIndex, ...(artifactType !== undefined && { 'OCI-Filters-Applied': 'artifactType' }) },
  );
}

interface Page {
  readonly page: readonly string[];
  readonly headers: Record<string, string>;
}

/** The part of a sorted list that `n` and `last` ask for, with a link to the next. */
function paginate({ query }: Exchange, path: string, sorted: readonly string[], limit: number): Page {
  const asked = query.get('n');
  if (asked !== null && !/^\d{1,9}$/.test(asked)) throw new DistributionError(400, 'PAGINATION_NUMBER_INVALID', 'n must be a number');
  const count = Math.min(limit, Number(asked ?? Number.POSITIVE_INFINITY));
  const last = query.get('last');
  const rest = last === null ? sorted : sorted.filter((item) => item > last);
  const page = rest.slice(0, count);
  const end = page.at(-1);
  if (end === undefined || page.length === rest.length) return { page, headers: {} };
  return { page, headers: { Link: `<${path}?${new URLSearchParams({ last: end, n: String(count) }).toString()}>; rel="next"` } };
}
