import { isKitError } from '../errors.ts';
import type { CallOptions } from '../events.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import { childrenOf, parseIndex, parseManifest } from '../oci/manifest.ts';
import { isIndexType, isManifestLike } from '../oci/media-types.ts';
import type { BlobDirectory } from './blob-directory.ts';
import { fetchMetadata } from './manifest-bytes.ts';
import { removeManifests, type RepositoryIndex } from './repository-index.ts';
import { type StoreIndex, withRepository } from './store-index.ts';

/** A blob that nothing needs. */
export interface GarbageBlob {
  readonly digest: Digest;
  /** Bytes. */
  readonly size: number;
}

/** A manifest of the store in one repository. */
export interface ListedManifest {
  readonly repository: string;
  readonly descriptor: Descriptor;
}

export interface Garbage {
  /** The index without what is to be unlisted. */
  readonly index: StoreIndex;
  readonly manifests: readonly ListedManifest[];
  readonly blobs: readonly GarbageBlob[];
}

export interface FindGarbageOptions extends CallOptions {
  /** Also the manifests that no tag reaches and that are about none which one reaches. */
  readonly untagged?: boolean | undefined;
  /** Only what was written before (ms since 1970). */
  readonly before?: number | undefined;
}

/**
 * What of a store nothing needs. Entries of index.json that belong to no repository are another tool's and are kept, with what they reach.
 * @throws KitError when a manifest cannot be read
 */
export async function findGarbage(blobs: BlobDirectory, index: StoreIndex, options: FindGarbageOptions = {}): Promise<Garbage> {
  const manifests = options.untagged === true ? await unreachedByTags(blobs, index, options) : [];
  const after = unlist(index, manifests);
  const kept = await reachable(
    blobs,
    [...after.others, ...[...after.repositories.values()].flatMap((content) => content.manifests)],
    options,
  );
  const unneeded: GarbageBlob[] = [];
  for await (const { digest, size, modifiedMs } of blobs.list()) {
    if (!kept.has(digest) && modifiedMs < (options.before ?? Number.POSITIVE_INFINITY)) unneeded.push({ digest, size });
  }
  return { index: after, manifests, blobs: unneeded };
}

/** Manifests that no tag of their repository reaches, but for signatures and the like of one that a tag does reach. */
export async function unreachedByTags(blobs: BlobDirectory, index: StoreIndex, options: FindGarbageOptions): Promise<ListedManifest[]> {
  const ofOthers = await reachable(blobs, index.others, options);
  const unreached: ListedManifest[] = [];
  for (const [repository, { manifests, tags }] of index.repositories) {
    const kept = new Set([...ofOthers, ...(await reachable(blobs, tags.values(), options))]);
    await keepReferrers(blobs, kept, manifests, options);
    unreached.push(...manifests.filter(({ digest }) => !kept.has(digest)).map((descriptor) => ({ repository, descriptor })));
  }
  return unreached;
}

/** Adds to `kept` what of `listed` is about one in it, and what is too young to be judged. */
async function keepReferrers(
  blobs: BlobDirectory,
  kept: Set<Digest>,
  listed: readonly Descriptor[],
  options: FindGarbageOptions,
): Promise<void> {
  for (let grown = true; grown;) {
    const candidates = listed.filter(({ digest }) => !kept.has(digest));
    const young = await youngerThan(blobs, candidates, options.before);
    const referrers = await referrersOf(blobs, kept, candidates, options);
    const more = candidates.filter(({ digest }) => young.has(digest) || referrers.has(digest));
    // what a signature reaches may have signatures of its own
    for (const digest of await reachable(blobs, more, options)) kept.add(digest);
    grown = more.length > 0;
  }
}

async function youngerThan(blobs: BlobDirectory, manifests: readonly Descriptor[], before: number | undefined): Promise<Set<Digest>> {
  const young = new Set<Digest>();
  if (before === undefined) return young;
  for (const { digest } of manifests) if (((await blobs.modifiedMs(digest)) ?? 0) >= before) young.add(digest);
  return young;
}

function unlist(index: StoreIndex, manifests: readonly ListedManifest[]): StoreIndex {
  let after = index;
  for (const [name, content] of index.repositories) {
    const gone = new Set(manifests.filter(({ repository }) => repository === name).map(({ descriptor }) => descriptor.digest));
    const rest: RepositoryIndex = removeManifests(content, gone);
    if (gone.size > 0) after = withRepository(after, name, rest);
  }
  return after;
}

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
