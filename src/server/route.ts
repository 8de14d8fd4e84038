import { type Digest, isDigest } from '../oci/digest.ts';
import { DistributionError } from './distribution-error.ts';

/** What a path asks for (distribution spec, "Endpoints"). */
export type Route =
  | { readonly kind: 'base' }
  | { readonly kind: 'catalog' }
  | { readonly kind: 'tags' | 'uploads'; readonly repository: string }
  | { readonly kind: 'manifest'; readonly repository: string; readonly reference: string }
  | { readonly kind: 'blob' | 'referrers'; readonly repository: string; readonly digest: Digest }
  | { readonly kind: 'upload'; readonly repository: string; readonly id: string };

const PATH = /^\/v2\/(.+)\/(blobs\/uploads|blobs|manifests|tags|referrers)(?:\/([^/]*))?$/;
/** Distribution spec, "Pulling manifests". */
const NAME = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/;
const TAG = /^\w[\w.-]{0,127}$/;
const MAX_NAME = 255;

export function isRepositoryName(text: string): boolean {
  return text.length <= MAX_NAME && NAME.test(text);
}

export function isTag(text: string): boolean {
  return TAG.test(text);
}

/** Undefined for paths that are none of the API's. @throws DistributionError for a name, tag or digest that follows no grammar */
export function parseRoute(path: string): Route | undefined {
  if (path === '/v2/' || path === '/v2') return { kind: 'base' };
  if (path === '/v2/_catalog') return { kind: 'catalog' };
  const [, repository, kind, tail = ''] = PATH.exec(path) ?? [];
  if (repository === undefined || kind === undefined) return undefined;
  if (!isRepositoryName(repository)) throw new DistributionError(400, 'NAME_INVALID', 'invalid repository name');
  const last = decode(tail);
  switch (kind) {
    case 'blobs/uploads':
      return last === '' ? { kind: 'uploads', repository } : { kind: 'upload', repository, id: last };
    case 'tags':
      return last === 'list' ? { kind: 'tags', repository } : undefined;
    case 'manifests':
      if (!isDigest(last) && !isTag(last)) throw invalidReference(last);
      return { kind: 'manifest', repository, reference: last };
    default:
      if (!isDigest(last)) throw new DistributionError(400, 'DIGEST_INVALID', 'not a digest that this registry knows');
      return { kind: kind === 'blobs' ? 'blob' : 'referrers', repository, digest: last };
  }
}

function invalidReference(text: string): DistributionError {
  return text.includes(':')
    ? new DistributionError(400, 'DIGEST_INVALID', 'not a digest that this registry knows')
    : new DistributionError(400, 'TAG_INVALID', 'not a tag');
}

/** Some clients escape the colon of a digest. */
function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
