import { isKitError, KitError } from '../errors.ts';
import type { CallOptions } from '../events.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import { parseIndex } from '../oci/manifest.ts';
import { isIndexType, MAX_METADATA_BYTES, MEDIA_TYPE } from '../oci/media-types.ts';
import { referrersTag } from '../oci/referrers-tag.ts';
import { readLimited } from './body.ts';
import { reading, type RepositoryContext, repositoryUrl, subjectOf } from './context.ts';
import { nextPage } from './listing.ts';
import { fetchManifest } from './manifests.ts';
import { plainText } from './redact.ts';
import type { TransportResponse } from './transport.ts';

const MAX_PAGES = 1000;
/** What registries without the API answer; the distribution spec names only 404. */
const UNSUPPORTED: readonly number[] = [400, 404, 405, 406, 501];

export interface ReferrersQuery {
  /** Only referrers of this type: asked of the registry, and sifted here, as it need not heed it. */
  readonly artifactType?: string | undefined;
}

/**
 * GET /v2/NAME/referrers/DIGEST, page after page; without that API the index under the fallback tag. Where the API is there the tag is
 * not looked at: a registry has to list what was pushed before it had the API. Neither is verified: what is listed counts for no more
 * than its own content says.
 * @throws KitError REGISTRY_ERROR when the answer is no list or does not end
 */
export async function* listReferrers(
  context: RepositoryContext,
  subject: Digest,
  { artifactType, ...call }: ReferrersQuery & CallOptions,
): AsyncGenerator<Descriptor, void, undefined> {
  const url = repositoryUrl(context, `referrers/${subject}`);
  if (artifactType !== undefined) url.searchParams.set('artifactType', artifactType);
  for await (const referrer of allReferrers(context, subject, url, call)) {
    if (artifactType === undefined || referrer.artifactType === artifactType) yield referrer;
  }
}

async function* allReferrers(
  context: RepositoryContext,
  subject: Digest,
  start: URL,
  call: CallOptions,
): AsyncGenerator<Descriptor, void, undefined> {
  if (context.endpoint.rules.referrers === 'tag') {
    yield* fallbackReferrers(context, subject, call);
    return;
  }
  const { name } = subjectOf(context, 'manifest', subject);
  const visited = new Set<string>();
  let url: URL | undefined = start;
  while (url !== undefined) {
    if (visited.has(url.href) || visited.size >= MAX_PAGES) {
      throw new KitError('REGISTRY_ERROR', `${name}: the registry's list of referrers does not end`);
    }
    const isFirst = visited.size === 0;
    visited.add(url.href);
    const response = await requestPage(context, subject, { url, isFirst, call });
    if (response === undefined) {
      yield* fallbackReferrers(context, subject, call);
      return;
    }
    yield* parsePage(await readLimited(response.body, MAX_METADATA_BYTES, name), name);
    url = nextPage(response.header('link'), url);
  }
}

interface Page {
  readonly url: URL;
  readonly isFirst: boolean;
  readonly call: CallOptions;
}

/** Undefined when the registry does not know the API. */
async function requestPage(
  context: RepositoryContext,
  subject: Digest,
  { url, isFirst, call }: Page,
): Promise<TransportResponse | undefined> {
  const response = await context.http.request({
    ...reading(context, call),
    method: 'GET',
    url,
    subject: subjectOf(context, 'manifest', subject),
    headers: { accept: MEDIA_TYPE.imageIndex },
    accept: isFirst ? [200, ...UNSUPPORTED] : [200],
  });
  // some registries and proxies answer every unknown path with a page of their own
  const type = response.header('content-type')?.split(';', 1)[0]?.trim().toLowerCase() ?? '';
  if (response.status === 200 && !(isFirst && type === 'text/html')) return response;
  await response.discard();
  return undefined;
}

function parsePage(body: Buffer, name: string): readonly Descriptor[] {
  try {
    return parseIndex(body, name).manifests;
  } catch (cause) {
    throw new KitError('REGISTRY_ERROR', `${name}: the registry answers without a list of referrers`, { cause });
  }
}

/** Tools have put other things than an index under this tag; they list nothing, and hide what does refer to `subject`. */
async function* fallbackReferrers(context: RepositoryContext, subject: Digest, call: CallOptions): AsyncGenerator<Descriptor> {
  const tag = referrersTag(subject);
  const hidden = (what: string): void => {
    const message = `${context.name}:${tag}: the tag that lists what refers to ${subject} ${what}: no signature, attestation or SBOM is found by it`;
    call.onEvent?.({ type: 'warning', code: 'MANIFEST_INVALID', message });
  };
  try {
    const { descriptor, bytes } = await fetchManifest(context, tag, call);
    if (isIndexType(descriptor.mediaType)) yield* parseIndex(bytes, descriptor.digest).manifests;
    else hidden(`holds \`${plainText(descriptor.mediaType)}\``);
  } catch (error) {
    if (!isKitError(error, 'REFERENCE_NOT_FOUND', 'MANIFEST_INVALID')) throw error;
    if (error.code === 'MANIFEST_INVALID') hidden('holds what is no manifest');
  }
}
