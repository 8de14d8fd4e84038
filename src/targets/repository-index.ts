import { KitError } from '../errors.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { type Digest, isDigest } from '../oci/digest.ts';
import { compareBytes } from '../oci/json.ts';

/** What one repository of the store holds. Descriptors here carry no annotations of the index. */
export interface RepositoryIndex {
  /** In the order in which they came. */
  readonly manifests: readonly Descriptor[];
  readonly tags: ReadonlyMap<string, Descriptor>;
}

export const EMPTY_REPOSITORY: RepositoryIndex = { manifests: [], tags: new Map() };

export function findManifest(repository: RepositoryIndex, reference: string): Descriptor | undefined {
  return isDigest(reference) ? repository.manifests.find(({ digest }) => digest === reference) : repository.tags.get(reference);
}

export function addManifest(repository: RepositoryIndex, manifest: Descriptor): RepositoryIndex {
  if (findManifest(repository, manifest.digest) !== undefined) return repository;
  return { ...repository, manifests: [...repository.manifests, manifest] };
}

export function addTag(repository: RepositoryIndex, manifest: Descriptor, tag: string): RepositoryIndex {
  if (repository.tags.get(tag)?.digest === manifest.digest) return repository;
  return { ...addManifest(repository, manifest), tags: new Map([...repository.tags, [tag, manifest]]) };
}

export function removeTag(repository: RepositoryIndex, tag: string): RepositoryIndex {
  return { ...repository, tags: new Map([...repository.tags].filter(([name]) => name !== tag)) };
}

/** Takes manifests away, with every tag on them. */
export function removeManifests(repository: RepositoryIndex, digests: ReadonlySet<Digest>): RepositoryIndex {
  return {
    manifests: repository.manifests.filter(({ digest }) => !digests.has(digest)),
    tags: new Map([...repository.tags].filter(([, { digest }]) => !digests.has(digest))),
  };
}

/** The tags on a manifest, in byte order. */
export function tagsOn(repository: RepositoryIndex, digest: Digest): string[] {
  return tagsByDigest(repository).get(digest) ?? [];
}

/** The tags on every manifest that has any, in byte order. */
export function tagsByDigest(repository: RepositoryIndex): Map<Digest, string[]> {
  const found = new Map<Digest, string[]>();
  for (const [tag, { digest }] of repository.tags) {
    const tags = found.get(digest);
    if (tags === undefined) found.set(digest, [tag]);
    else tags.push(tag);
  }
  for (const [digest, tags] of found) if (tags.length > 1) found.set(digest, tags.toSorted(compareBytes));
  return found;
}

/** What a command reports when `reference` is neither tag nor digest of the repository. */
export function notInStore(name: string, content: RepositoryIndex, reference: string): KitError {
  const tags = [...content.tags.keys()];
  const what = reference.includes(':') ? `${name}@${reference}` : `${name}:${reference}`;
  const hint = tags.length === 0 ? 'run `kit list` to see what the store holds' : `tags of ${name}: ${tags.join(', ')}`;
  return new KitError('REFERENCE_NOT_FOUND', `${what} is not in the store`, { hint });
}
