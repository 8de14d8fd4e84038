import { CODES, isKitError, KitError } from '../errors.ts';
import type { CallOptions } from '../events.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import { childrenOf, type Index, type Manifest, parseIndex, parseManifest } from '../oci/manifest.ts';
import { isIndexType, isManifestLike } from '../oci/media-types.ts';
import { describeReferrer } from '../oci/referrer.ts';
import { fetchMetadata } from './manifest-bytes.ts';
import type { ReadTarget, ReferrersOptions } from './types.ts';

export interface Listed {
  /** Manifests that may have a subject. */
  readonly manifests: Iterable<Descriptor>;
  /** What stands under the fallback tag: an artifact from a registry without the referrers API brings such an index along. */
  readonly fallbacks: readonly Descriptor[];
}

/**
 * Of what a local target lists, the manifests whose own content names `subject`, described as the referrers API does (artifactType
 * and annotations of the manifest; distribution spec, "Listing Referrers"). One that is missing or damaged names nothing.
 */
export async function* localReferrers(
  from: Pick<ReadTarget, 'fetch'>,
  { manifests, fallbacks }: Listed,
  subject: Digest,
  options: ReferrersOptions = {},
): AsyncGenerator<Descriptor, void, undefined> {
  const seen = new Set<Digest>([subject]);
  const below: Descriptor[] = [];
  for (const index of fallbacks) below.push(...(await listedIn(from, index, options)));
  for (const candidate of [...manifests, ...below]) {
    if (seen.has(candidate.digest) || !isManifestLike(candidate.mediaType)) continue;
    seen.add(candidate.digest);
    const manifest = await readIfSound(from, candidate, options);
    if (manifest?.subject?.digest !== subject) continue;
    const referrer = describeReferrer(candidate, manifest);
    if (options.artifactType === undefined || referrer.artifactType === options.artifactType) yield referrer;
  }
}

async function listedIn(from: Pick<ReadTarget, 'fetch'>, index: Descriptor, options: CallOptions): Promise<readonly Descriptor[]> {
  // some tools have put the artifact itself under the tag of the index
  if (!isIndexType(index.mediaType)) return [];
  const content = await readIfSound(from, index, options);
  return content !== undefined && 'manifests' in content ? content.manifests : [];
}

async function readIfSound(
  from: Pick<ReadTarget, 'fetch'>,
  descriptor: Descriptor,
  options: CallOptions,
): Promise<Manifest | Index | undefined> {
  try {
    const bytes = await fetchMetadata(from, descriptor, { signal: options.signal });
    return isIndexType(descriptor.mediaType) ? parseIndex(bytes, descriptor.digest) : parseManifest(bytes, descriptor.digest);
  } catch (error) {
    if (isKitError(error, 'REFERENCE_NOT_FOUND') || (error instanceof KitError && CODES[error.code].exit === 'integrity')) return undefined;
    throw error;
  }
}

/** True when the manifest is about another one. */
export async function hasSubject(from: Pick<ReadTarget, 'fetch'>, descriptor: Descriptor, options: CallOptions = {}): Promise<boolean> {
  return (await readIfSound(from, descriptor, options))?.subject !== undefined;
}

/**
 * The manifests that an index stands for: while it is listed they need no entry of their own. A referrer does, for it is found among the
 * entries. None where `index` is no index.
 */
export async function coveredBy(from: Pick<ReadTarget, 'fetch'>, index: Descriptor, options: CallOptions = {}): Promise<Descriptor[]> {
  if (!isIndexType(index.mediaType)) return [];
  const children = childrenOf(index, await fetchMetadata(from, index, options));
  const manifests = children.filter(({ mediaType }) => isManifestLike(mediaType));
  const about = await Promise.all(manifests.map(async (child) => await hasSubject(from, child, options)));
  return manifests.filter((_, position) => about[position] === false);
}
