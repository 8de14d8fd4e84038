import type { Descriptor } from '../../src/oci/descriptor.ts';
import { type Digest, digestAlgorithm, digestOf, isDigest } from '../../src/oci/digest.ts';
import { childrenOf } from '../../src/oci/manifest.ts';
import { isManifestLike, MAX_METADATA_BYTES, MEDIA_TYPE } from '../../src/oci/media-types.ts';
import type { Exchange } from './registry.ts';
import { fail, sendJson } from './registry-reply.ts';
import type { RegistryStorage, StoredManifest } from './registry-storage.ts';

const OTHER_DIGEST = digestOf(Buffer.from('something else'));

/** GET, HEAD, PUT and DELETE /v2/NAME/manifests/REFERENCE */
export async function serveManifest(exchange: Exchange, repository: string, reference: string): Promise<void> {
  const { registry, response, entry } = exchange;
  if (entry.method === 'PUT') return putManifest(exchange, repository, reference);
  const stored = registry.storage.find(repository);
  if (stored === undefined) return fail(response, 404, 'NAME_UNKNOWN', 'repository name not known to registry');
  const digest = isDigest(reference) ? reference : stored.tags.get(reference);
  const manifest = digest === undefined ? undefined : stored.manifests.get(digest);
  if (entry.method === 'HEAD' && !registry.behaviour.headManifests) return fail(response, 405, 'UNSUPPORTED', 'method not allowed');
  if (digest === undefined || manifest === undefined) return fail(response, 404, 'MANIFEST_UNKNOWN', 'manifest unknown');
  if (entry.method === 'DELETE') return deleteManifest(exchange, repository, reference);
  sendManifest(exchange, digest, manifest);
}

function sendManifest({ registry, response, entry }: Exchange, digest: Digest, manifest: StoredManifest): void {
  const { behaviour } = registry;
  const type = behaviour.contentType ?? manifest.mediaType;
  response.writeHead(200, {
    'Content-Length': String(manifest.bytes.byteLength),
    ...(type === '' ? {} : { 'Content-Type': type }),
    ...(behaviour.digestHeader ? { 'Docker-Content-Digest': behaviour.wrongDigestHeader ? OTHER_DIGEST : digest } : {}),
  });
  response.end(entry.method === 'HEAD' ? undefined : manifest.bytes);
}

async function putManifest(exchange: Exchange, repository: string, reference: string): Promise<void> {
  const { registry, request, response, entry } = exchange;
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) {
    entry.received += chunk.byteLength;
    if (entry.received <= MAX_METADATA_BYTES) chunks.push(chunk);
  }
  if (entry.received > MAX_METADATA_BYTES) return fail(response, 413, 'SIZE_INVALID', 'manifest too large');
  const bytes = Buffer.concat(chunks);
  const mediaType = request.headers['content-type'] ?? '';
  if (!isManifestLike(mediaType)) return fail(response, 400, 'MANIFEST_INVALID', `unknown media type ${mediaType}`);
  if (isDigest(reference) && digestOf(bytes, digestAlgorithm(reference)) !== reference) {
    return fail(response, 400, 'DIGEST_INVALID', 'provided digest did not match uploaded content');
  }
  const missing = missingChild(registry.storage, repository, { bytes, mediaType });
  if (missing !== undefined) return fail(response, 400, missing.code, missing.message);
  const subject = (JSON.parse(bytes.toString()) as { subject?: Descriptor }).subject;
  const digest = isDigest(reference) ? reference : digestOf(bytes);
  storeManifest(registry.storage, repository, { bytes, mediaType }, isDigest(reference) ? undefined : reference, digest);
  response
    .writeHead(201, {
      Location: `${registry.url}/v2/${repository}/manifests/${digest}`,
      'Docker-Content-Digest': registry.behaviour.wrongDigestHeader ? OTHER_DIGEST : digest,
      'Content-Length': '0',
      ...(subject !== undefined && registry.behaviour.referrers ? { 'OCI-Subject': subject.digest } : {}),
    })
    .end();
}

function missingChild(
  storage: RegistryStorage,
  repository: string,
  manifest: StoredManifest,
): { code: string; message: string } | undefined {
  const of: Descriptor = { mediaType: manifest.mediaType, digest: digestOf(manifest.bytes), size: manifest.bytes.byteLength };
  let children: readonly Descriptor[];
  try {
    children = childrenOf(of, manifest.bytes);
  } catch (error) {
    return { code: 'MANIFEST_INVALID', message: String(error) };
  }
  const stored = storage.find(repository);
  const missing = children.find((child) => !(stored?.blobs.has(child.digest) ?? false) && !(stored?.manifests.has(child.digest) ?? false));
  return missing && { code: 'MANIFEST_BLOB_UNKNOWN', message: `unknown ${missing.digest}` };
}

export function storeManifest(
  storage: RegistryStorage,
  repository: string,
  manifest: StoredManifest,
  tag: string | undefined,
  digest = digestOf(manifest.bytes),
): Descriptor {
  const stored = storage.repository(repository);
  stored.manifests.set(digest, manifest);
  if (tag !== undefined) stored.tags.set(tag, digest);
  return { mediaType: manifest.mediaType, digest, size: manifest.bytes.byteLength };
}

function deleteManifest({ registry, response }: Exchange, repository: string, reference: string): void {
  const { deletes } = registry.behaviour;
  const stored = registry.storage.repository(repository);
  if (deletes === 'none' || (deletes === 'digests' && !isDigest(reference))) {
    return fail(response, 405, 'UNSUPPORTED', 'The operation is unsupported');
  }
  if (isDigest(reference)) {
    stored.manifests.delete(reference);
    for (const [tag, digest] of stored.tags) if (digest === reference) stored.tags.delete(tag);
  } else {
    stored.tags.delete(reference);
  }
  response.writeHead(202, { 'Content-Length': '0' }).end();
}

/** GET /v2/NAME/tags/list?n=&last= */
export function serveTags({ registry, response, url }: Exchange, repository: string): void {
  const stored = registry.storage.find(repository);
  if (stored === undefined) return fail(response, 404, 'NAME_UNKNOWN', 'repository name not known to registry');
  const { tagPageSize, tagLinks } = registry.behaviour;
  const last = url.searchParams.get('last') ?? '';
  const rest = [...stored.tags.keys()].toSorted().filter((tag) => tag > last);
  const page = rest.slice(0, Math.min(tagPageSize, Number(url.searchParams.get('n') ?? tagPageSize)));
  const more = rest.length > page.length;
  const next = tagLinks === 'loop' ? last : (page.at(-1) ?? '');
  const link = `</v2/${repository}/tags/list?last=${encodeURIComponent(next)}&n=${tagPageSize}>; rel="next"`;
  sendJson(response, 200, { name: repository, tags: page }, more ? { Link: link } : {});
}

/** GET /v2/NAME/referrers/DIGEST?artifactType= */
export function serveReferrers({ registry, response, url }: Exchange, repository: string, digest: string): void {
  if (!registry.behaviour.referrers) return fail(response, 404, 'NOT_FOUND', 'no such route');
  if (!isDigest(digest)) return fail(response, 400, 'DIGEST_INVALID', 'not a digest');
  const wanted = url.searchParams.get('artifactType');
  const all = [...(registry.storage.find(repository)?.manifests ?? [])].flatMap(([own, manifest]) => referrerTo(digest, own, manifest));
  const manifests = wanted === null ? all : all.filter(({ artifactType }) => artifactType === wanted);
  const body = { schemaVersion: 2, mediaType: MEDIA_TYPE.imageIndex, manifests };
  sendJson(response, 200, body, {
    'Content-Type': MEDIA_TYPE.imageIndex,
    ...(wanted === null ? {} : { 'OCI-Filters-Applied': 'artifactType' }),
  });
}

interface ReferrerBody {
  readonly artifactType?: string;
  readonly config?: Descriptor;
  readonly subject?: Descriptor;
  readonly annotations?: Record<string, string>;
}

function referrerTo(subject: string, digest: Digest, manifest: StoredManifest): Descriptor[] {
  const body = JSON.parse(Buffer.from(manifest.bytes).toString()) as ReferrerBody;
  if (body.subject?.digest !== subject) return [];
  const artifactType = body.artifactType ?? body.config?.mediaType;
  return [
    {
      mediaType: manifest.mediaType,
      digest,
      size: manifest.bytes.byteLength,
      ...(artifactType === undefined ? {} : { artifactType }),
      ...(body.annotations === undefined ? {} : { annotations: body.annotations }),
    },
  ];
}
