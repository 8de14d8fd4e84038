import { isKitError } from '../errors.ts';
import type { CallOptions } from '../events.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import { childrenOf, parseIndex, parseManifest } from '../oci/manifest.ts';
import { isIndexType, isManifestLike } from '../oci/media-types.ts';
import type { BlobDirectory } from './blob-directory.ts';
import { fetchMetadata } from './manifest-bytes.ts';

/**
 * Every digest that `roots` reach: manifests, indexes, configs, layers. A manifest whose file is missing reaches nothing more.
 * @throws KitError when one is there but cannot be read: what it reaches is unknown then, and nothing may be deleted
 */
export async function reachable(blobs: BlobDirectory, roots: Iterable<Descriptor>, options: CallOptions = {}): Promise<Set<Digest>> {
  const reached = new Set<Digest>();
  const expanded = new Set<Digest>();
  const open = [...roots];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    reached.add(next.digest);
    if (!isManifestLike(next.mediaType) || expanded.has(next.digest)) continue;
    expanded.add(next.digest);
    const bytes = await readIfThere(blobs, next, options);
    if (bytes !== undefined) open.push(...childrenOf(next, bytes));
  }
  return reached;
}

/** Of `candidates`, those that say something about `subjects` or about another that does: signatures, attestations, SBOMs. */
export async function referrersOf(
  blobs: BlobDirectory,
  subjects: ReadonlySet<Digest>,
  candidates: readonly Descriptor[],
  options: CallOptions = {},
): Promise<Set<Digest>> {
  const subjectOf = new Map<Digest, Digest>();
  for (const candidate of candidates) {
    const bytes = await readIfThere(blobs, candidate, options).catch(() => undefined);
    const subject = bytes === undefined ? undefined : readSubject(candidate, bytes);
    if (subject !== undefined) subjectOf.set(candidate.digest, subject);
  }
  const found = new Set<Digest>();
  for (let grown = true; grown;) {
    const more = [...subjectOf].filter(([digest, subject]) => !found.has(digest) && (subjects.has(subject) || found.has(subject)));
    for (const [digest] of more) found.add(digest);
    grown = more.length > 0;
  }
  return found;
}

function readSubject(manifest: Descriptor, bytes: Uint8Array): Digest | undefined {
  try {
    const parsed = isIndexType(manifest.mediaType) ? parseIndex(bytes, manifest.digest) : parseManifest(bytes, manifest.digest);
    return parsed.subject?.digest;
  } catch {
    // not readable: it is no referrer that we know of, and stays
    return undefined;
  }
}

async function readIfThere(blobs: BlobDirectory, manifest: Descriptor, options: CallOptions): Promise<Buffer | undefined> {
  try {
    return await fetchMetadata(blobs, manifest, options);
  } catch (error) {
    if (isKitError(error, 'REFERENCE_NOT_FOUND', 'BLOB_NOT_FOUND')) return undefined;
    throw error;
  }
}
