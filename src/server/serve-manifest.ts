import { type Digest, digestAlgorithm, digestOf, isDigest } from '../oci/digest.ts';
import { MAX_METADATA_BYTES } from '../oci/media-types.ts';
import { fetchMetadata } from '../targets/manifest-bytes.ts';
import { checkManifest } from './check-manifest.ts';
import { DistributionError } from './distribution-error.ts';
import { type RepositoryExchange, sendEmpty } from './exchange.ts';
import { readBody } from './request-body.ts';
import { isTag } from './route.ts';

/** GET, HEAD, PUT and DELETE /v2/NAME/manifests/REFERENCE */
export async function serveManifest(exchange: RepositoryExchange, reference: string): Promise<void> {
  switch (exchange.request.method) {
    case 'PUT':
      return await putManifest(exchange, reference);
    case 'DELETE':
      return await deleteManifest(exchange, reference);
    default:
      await sendManifest(exchange, reference);
  }
}

async function sendManifest(exchange: RepositoryExchange, reference: string): Promise<void> {
  const { request, response, repository, server } = exchange;
  const manifest = await repository.find(reference);
  if (manifest === undefined) throw await unknownManifest(exchange);
  const headers = { 'Docker-Content-Digest': manifest.digest, ETag: etagOf(manifest.digest) };
  if (request.headers['if-none-match'] === etagOf(manifest.digest)) return sendEmpty(exchange, 304, headers);
  const bytes = await fetchMetadata(server.content.blobs, manifest);
  response.writeHead(200, { ...headers, 'Content-Type': manifest.mediaType, 'Content-Length': String(bytes.byteLength) });
  response.end(request.method === 'HEAD' ? undefined : bytes);
}

async function putManifest(exchange: RepositoryExchange, reference: string): Promise<void> {
  const { request, response, repository, server, name } = exchange;
  if (request.headers.expect !== undefined) response.writeContinue();
  const bytes = await readBody(request, MAX_METADATA_BYTES);
  if (!request.complete) return;
  const digest = digestOf(bytes, isDigest(reference) ? digestAlgorithm(reference) : 'sha256');
  if (isDigest(reference) && reference !== digest)
    throw new DistributionError(400, 'DIGEST_INVALID', `provided digest did not match uploaded content, which has ${digest}`);
  const tags = tagsToPut(exchange, reference);
  const subject = await server.lease.during(() =>
    server.inTurn(async () => {
      await assertUnchanged(exchange, reference);
      const manifest = await checkManifest(server.content.blobs, bytes, { digest, contentType: request.headers['content-type'] });
      await repository.put(manifest.descriptor, bytes, tags);
      return manifest.subject;
    }),
  );
  // by a tag is how a push ends; what others may be sending has a session
  if (tags.length > 0 && server.sessions.size === 0) await server.lease.end();
  sendEmpty(exchange, 201, {
    Location: `/v2/${name}/manifests/${digest}`,
    'Docker-Content-Digest': digest,
    ETag: etagOf(digest),
    ...(subject !== undefined && { 'OCI-Subject': subject.digest }),
    ...(isDigest(reference) && tags.length > 0 && { 'OCI-Tag': tags }),
  });
}

/** The tag in the path, or those in the query of a push by digest (distribution spec, "Pushing a manifest with tags"). */
function tagsToPut({ query }: RepositoryExchange, reference: string): string[] {
  const tags = isDigest(reference) ? [...new Set(query.getAll('tag'))] : [reference];
  if (!tags.every(isTag)) throw new DistributionError(400, 'TAG_INVALID', 'not a tag');
  return tags;
}

/** If-Match (RFC 9110, 13.1.1): lets clients replace what they have read, and nothing that came since. */
async function assertUnchanged({ request, repository }: RepositoryExchange, reference: string): Promise<void> {
  const wanted = request.headers['if-match'];
  if (wanted === undefined) return;
  const current = await repository.find(reference);
  if (current !== undefined && (wanted === '*' || wanted.split(/\s*,\s*/).includes(etagOf(current.digest)))) return;
  throw new DistributionError(412, 'MANIFEST_INVALID', 'something else stands there by now');
}

async function deleteManifest(exchange: RepositoryExchange, reference: string): Promise<void> {
  const { repository, server } = exchange;
  const isDone = await server.inTurn(() => (isDigest(reference) ? repository.remove(reference) : repository.untag(reference)));
  if (!isDone) throw await unknownManifest(exchange);
  sendEmpty(exchange, 202);
}

async function unknownManifest({ repository }: RepositoryExchange): Promise<DistributionError> {
  return (await repository.tags()) === undefined
    ? new DistributionError(404, 'NAME_UNKNOWN', 'repository name not known to registry')
    : new DistributionError(404, 'MANIFEST_UNKNOWN', 'manifest unknown to registry');
}

function etagOf(digest: Digest): string {
  return `"${digest}"`;
}
