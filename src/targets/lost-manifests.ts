import { isKitError } from '../errors.ts';
import type { CallOptions } from '../events.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import { childrenOf, parseIndex, parseManifest, sniffManifestType } from '../oci/manifest.ts';
import { isIndexType, isManifestLike, MAX_METADATA_BYTES, MEDIA_TYPE } from '../oci/media-types.ts';
import type { BlobDirectory } from './blob-directory.ts';
import { fetchMetadata } from './manifest-bytes.ts';

export interface LostManifest {
  readonly descriptor: Descriptor;
  /** What it is about, where it is a referrer. */
  readonly subject: Digest | undefined;
}

const SMALLEST = Buffer.byteLength('{"schemaVersion":2,"manifests":[]}');

/**
 * The complete manifests and indexes among the blobs that `known` lacks, the members of such an index left out: what an index.json that
 * was lost may have listed. Also what was removed from it and not yet collected.
 */
export async function findLostManifests(
  blobs: BlobDirectory,
  known: { has(digest: Digest): boolean },
  options: CallOptions = {},
): Promise<LostManifest[]> {
  const found = new Map<Digest, LostManifest & { readonly children: readonly Descriptor[] }>();
  const present = new Set<Digest>();
  const candidates: { digest: Digest; size: number }[] = [];
  for await (const { digest, size } of blobs.list()) {
    present.add(digest);
    if (!known.has(digest) && size >= SMALLEST && size <= MAX_METADATA_BYTES) candidates.push({ digest, size });
  }
  for (const { digest, size } of candidates) {
    options.signal?.throwIfAborted();
    const manifest = await readManifest(blobs, { mediaType: MEDIA_TYPE.imageManifest, digest, size }, options);
    if (manifest !== undefined && manifest.children.every((child) => present.has(child.digest))) found.set(digest, manifest);
  }
  const members = new Set([...found.values()].flatMap(({ children }) => children.map((child) => child.digest)));
  return [...found.values()]
    .filter(({ descriptor }) => !members.has(descriptor.digest))
    .map(({ descriptor, subject }) => ({ descriptor, subject }));
}

async function readManifest(
  blobs: BlobDirectory,
  blob: Descriptor,
  options: CallOptions,
): Promise<(LostManifest & { readonly children: readonly Descriptor[] }) | undefined> {
  try {
    const bytes = await fetchMetadata(blobs, blob, options);
    // `{`: most small blobs are configs and tar archives
    if (bytes[0] !== 0x7b) return undefined;
    const mediaType = sniffManifestType(bytes, blob.digest);
    if (!isManifestLike(mediaType)) return undefined;
    const descriptor = { ...blob, mediaType };
    const parsed = isIndexType(mediaType) ? parseIndex(bytes, blob.digest) : parseManifest(bytes, blob.digest);
    return { descriptor, children: childrenOf(descriptor, bytes), subject: parsed.subject?.digest };
  } catch (error) {
    // not a manifest, damaged, or unreadable: nothing to list
    if (isKitError(error)) return undefined;
    throw error;
  }
}
