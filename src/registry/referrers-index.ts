import { isDeepStrictEqual } from 'node:util';
import { isKitError, KitError } from '../errors.ts';
import type { CallOptions } from '../events.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import { type Index, parseIndex } from '../oci/manifest.ts';
import { MAX_METADATA_BYTES, MEDIA_TYPE } from '../oci/media-types.ts';
import { referrersTag } from '../oci/referrers-tag.ts';
import type { RepositoryContext } from './context.ts';
import { fetchManifest } from './manifests.ts';
import { plainText } from './redact.ts';

/** The list of referrers under the fallback tag, as it stands in a registry. */
export interface FallbackIndex {
  readonly digest: Digest;
  readonly etag: string | undefined;
  readonly index: Index;
}

/** By digest of the referrer: what the list is to say of it; undefined takes it out. */
export type ReferrerChanges = ReadonlyMap<Digest, Descriptor | undefined>;

/**
 * Undefined when there is no such tag. @throws KitError MANIFEST_INVALID when something else than an OCI index is under it, which
 * must not be overwritten
 */
export async function readFallbackIndex(
  context: RepositoryContext,
  subject: Digest,
  call: CallOptions,
): Promise<FallbackIndex | undefined> {
  const found = await fetchManifest(context, referrersTag(subject), call).catch((error: unknown) => {
    if (isKitError(error, 'REFERENCE_NOT_FOUND')) return undefined;
    throw error;
  });
  if (found === undefined) return undefined;
  const { descriptor, bytes, etag } = found;
  if (descriptor.mediaType !== MEDIA_TYPE.imageIndex) throw notAnIndex(context, subject, `holds \`${plainText(descriptor.mediaType)}\``);
  return { digest: descriptor.digest, etag, index: parseFallback(context, subject, bytes) };
}

function parseFallback(context: RepositoryContext, subject: Digest, bytes: Uint8Array): Index {
  try {
    return parseIndex(bytes, referrersTag(subject));
  } catch (cause) {
    throw notAnIndex(context, subject, 'holds an index that is malformed', cause);
  }
}

function notAnIndex({ name }: RepositoryContext, subject: Digest, what: string, cause?: unknown): KitError {
  const message = `${name}:${referrersTag(subject)}: the tag that lists what refers to ${subject} ${what}, and is left as it is`;
  const hint = 'another tool has put something else there; remove that tag, or keep it under another name, and push again';
  return new KitError('MANIFEST_INVALID', message, { hint, cause });
}

/** The entries after `changes`, none of them twice; undefined when the list says all that already. */
export function changedEntries(entries: readonly Descriptor[], changes: ReferrerChanges): readonly Descriptor[] | undefined {
  const result = new Map<Digest, Descriptor>();
  let isChanged = false;
  for (const entry of entries) {
    const wanted = changes.has(entry.digest) ? changes.get(entry.digest) : entry;
    const next = wanted === undefined || isSame(wanted, entry) ? wanted && entry : wanted;
    isChanged ||= next !== entry;
    if (next !== undefined && !result.has(next.digest)) result.set(next.digest, next);
  }
  for (const [digest, wanted] of changes) {
    if (wanted === undefined || result.has(digest)) continue;
    isChanged = true;
    result.set(digest, wanted);
  }
  return isChanged ? [...result.values()] : undefined;
}

/** What finders of referrers go by; other fields of an entry are left as they are. */
function isSame(one: Descriptor, other: Descriptor): boolean {
  return (
    one.mediaType === other.mediaType &&
    one.size === other.size &&
    one.artifactType === other.artifactType &&
    isDeepStrictEqual({ ...one.annotations }, { ...other.annotations })
  );
}

/** @throws KitError LIMIT_EXCEEDED when the list outgrows what registries and readers take */
export function serializeIndex(index: Index | undefined, manifests: readonly Descriptor[], name: string): Buffer {
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPE.imageIndex, ...index, manifests }));
  if (bytes.byteLength <= MAX_METADATA_BYTES) return bytes;
  throw new KitError(
    'LIMIT_EXCEEDED',
    `${name}: the list of ${manifests.length} referrers would have ${bytes.byteLength} bytes, the limit is ${MAX_METADATA_BYTES}`,
    { hint: 'remove signatures and SBOMs that are no longer needed, or use a registry with the referrers API' },
  );
}
