import { readFile, rename, stat, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isKitError, type KitError } from '../errors.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import { compareBytes } from '../oci/json.ts';
import { ANNOTATION } from '../oci/media-types.ts';
import {
  fitsKitops,
  kitopsFiles,
  type KitopsRepository,
  kitopsRepositoryNames,
  readKitopsRepositories,
  readKitopsRepository,
  toKitopsName,
  writeKitopsRepository,
} from './kitops-index.ts';
import { EMPTY_INDEX, readIndexFile, refNameOf, serializeIndex, withAnnotations, withoutAnnotations } from './layout-index.ts';
import { addManifest, addTag, EMPTY_REPOSITORY, removeManifests, type RepositoryIndex, tagsByDigest } from './repository-index.ts';
import { writeFileAtomic } from './atomic-file.ts';
import { temporaryName } from './temporary-name.ts';
import type { Index } from '../oci/manifest.ts';

/**
 * On the entries that this program wrote to the store's index.json: the reference it wrote them for, `REPOSITORY:TAG`, or
 * `REPOSITORY` for a manifest without a tag. An entry whose `ref.name` differs was changed by another tool.
 */
const STORE_REFERENCE = 'dev.ocikit.repository';
/** `true` on entries of ours that are not in the KitOps files. */
const INDEX_ONLY = 'dev.ocikit.index-only';
const INDEX_FILE = 'index.json';

/** All that the store holds, by repository. Immutable: a change makes a new one. */
export interface StoreIndex {
  readonly repositories: ReadonlyMap<string, RepositoryIndex>;
  /** Entries of index.json that belong to no repository: kept as they are. */
  readonly others: readonly Descriptor[];
  readonly index: Index;
  /** Repositories for which index.json has news that their KitOps files lack. */
  readonly imported: ReadonlySet<string>;
  /** `REPOSITORY@DIGEST` of what is in the KitOps files, and of what is known not to belong there. */
  readonly inKitops: ReadonlySet<string>;
  readonly indexOnly: ReadonlySet<string>;
}

/**
 * Reads the store. Three programs may have written to it, and each keeps another file:
 * - KitOps only knows its two files for each repository. It rewrites index.json too, but with what the entries said when it read
 *   them, so for what KitOps can keep those files are the truth, and our own entries in index.json merely repeat them.
 * - skopeo and oras only know index.json: an entry with a `REPOSITORY:TAG` that we did not write there is news.
 *   Where it moves a tag that the KitOps files have elsewhere, the file that changed later is right.
 * - We write both, under the lock, index.json last.
 * What is no ModelKit (signatures, indexes, ModelPacks: KitOps 1.7 crashes on them) and names too long for a file stand in
 * index.json alone.
 */
export async function readStoreIndex(storage: string): Promise<StoreIndex> {
  // index.json first: a writer renames it last
  const index = await readDatedIndex(join(storage, INDEX_FILE));
  return combine(index ?? EMPTY, await readKitopsRepositories(storage), new Set());
}

interface DatedIndex {
  readonly index: Index;
  readonly changedNs: bigint;
}

const EMPTY: DatedIndex = { index: EMPTY_INDEX, changedNs: 0n };

async function readDatedIndex(file: string): Promise<DatedIndex | undefined> {
  const index = await readIndexFile(file);
  if (index === undefined) return undefined;
  const changedNs = await stat(file, { bigint: true }).then(
    ({ mtimeNs }) => mtimeNs,
    () => 0n,
  );
  return { index, changedNs };
}

/** What can be read of a store's index where files are missing or broken. */
export interface SalvagedIndex {
  readonly store: StoreIndex;
  /** Each names its file in the message. */
  readonly broken: readonly { readonly file: string; readonly error: KitError }[];
  /** There is no index.json. */
  readonly isMissing: boolean;
}

/**
 * As readStoreIndex, but what is broken is left out: for index.json its backup is read, and tags that are missing in the files of KitOps
 * are taken from there.
 */
export async function salvageStoreIndex(storage: string): Promise<SalvagedIndex> {
  const broken: { file: string; error: KitError }[] = [];
  const salvage = async <T>(file: string, read: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await read();
    } catch (error) {
      if (!isKitError(error, 'STORE_INVALID')) throw error;
      broken.push({ file, error });
      return undefined;
    }
  };
  const indexFile = join(storage, INDEX_FILE);
  const index = await salvage(indexFile, async () => await readDatedIndex(indexFile));
  const isMissing = index === undefined && broken.length === 0;
  const backup = async (): Promise<DatedIndex | undefined> => await readDatedIndex(`${indexFile}.bak`).catch(() => undefined);
  const kitops = new Map<string, KitopsRepository>();
  const lost = new Set<string>();
  for (const name of await kitopsRepositoryNames(storage)) {
    const content = await salvage(name, async () => await readKitopsRepository(storage, name));
    if (content === undefined) lost.add(name);
    else kitops.set(name, content);
  }
  const store = combine(index ?? (await backup()) ?? EMPTY, kitops, lost);
  const named = broken.map(({ file, error }) => ({ file: fileOf(storage, file, error), error }));
  return { store, broken: named, isMissing };
}

/** A repository's name stands for the one of its two files that the error is about. */
function fileOf(storage: string, name: string, { message }: KitError): string {
  const files = [name, ...kitopsFiles(storage, name)];
  return files.find((file) => message.startsWith(`${file}:`)) ?? name;
}

/** `lost`: repositories whose KitOps files cannot be read: what index.json says of them is all there is. */
function combine({ index, changedNs }: DatedIndex, kitops: ReadonlyMap<string, KitopsRepository>, lost: ReadonlySet<string>): StoreIndex {
  const repositories = new Map<string, RepositoryIndex>(kitops);
  const others: Descriptor[] = [];
  const imported = new Set<string>();
  const indexOnly = new Set<string>();
  const inKitops = new Set([...kitops].flatMap(([name, { manifests }]) => manifests.map((manifest) => keyOf(name, manifest))));
  for (const entry of index.manifests) {
    const place = placeOf(entry);
    if (place === undefined) others.push(entry);
    else if (place.indexOnly) {
      // where KitOps has the tag now, it took it: our write left it to this entry
      const taken = place.tag !== undefined && kitops.get(place.repository)?.tags.has(place.tag) === true;
      merge(repositories, entry, taken ? { ...place, tag: undefined } : place);
      indexOnly.add(keyOf(place.repository, entry));
    } else if (lost.has(place.repository) || isNews(place, kitops.get(place.repository), changedNs)) {
      merge(repositories, entry, place);
      imported.add(place.repository);
    }
  }
  const listed = new Set([...repositories.values()].flatMap(({ manifests }) => manifests.map(({ digest }) => digest)));
  return { index, repositories, imported, inKitops, indexOnly, others: others.filter((entry) => !listed.has(entry.digest)) };
}

/** True where index.json says something else than the store holds: KitOps changed its own files, or a writer was killed between the two. */
export function isIndexBehind(store: StoreIndex): boolean {
  const wanted = new Set([...entriesOfStore(store, store.indexOnly), ...store.others].map(entryKey));
  const found = new Set(store.index.manifests.map(entryKey));
  return wanted.size !== found.size || [...wanted].some((one) => !found.has(one));
}

function entryKey(entry: Descriptor): string {
  return `${entry.digest} ${refNameOf(entry) ?? ''}`;
}

function entriesOfStore(store: StoreIndex, indexOnly: ReadonlySet<string>): Descriptor[] {
  return sortedRepositories(store).flatMap(([name, repository]) => entriesOf(name, repository, indexOnly));
}

/** Writes what changed. Under the store's lock only. `isModelKit` is asked once about each new manifest. */
export async function writeStoreIndex(
  storage: string,
  before: StoreIndex,
  after: StoreIndex,
  isModelKit: (manifest: Descriptor) => Promise<boolean>,
): Promise<void> {
  const indexOnly = new Set(before.indexOnly);
  for (const name of new Set([...before.repositories.keys(), ...after.repositories.keys()])) {
    const repository = repositoryOf(after, name);
    if (before.repositories.get(name) === after.repositories.get(name) && !before.imported.has(name)) continue;
    const others = new Set<Digest>();
    for (const manifest of repository.manifests) {
      const key = keyOf(name, manifest);
      const kept = before.inKitops.has(key) || (!indexOnly.has(key) && fitsKitops(name) && (await isModelKit(manifest)));
      if (kept) continue;
      others.add(manifest.digest);
      indexOnly.add(key);
    }
    await writeKitopsRepository(storage, name, removeManifests(repository, others));
  }
  const manifests = entriesOfStore(after, indexOnly);
  const file = join(storage, INDEX_FILE);
  const text = serializeIndex({ ...after.index, manifests: [...manifests, ...after.others] });
  if ((await readFile(file, 'utf8').catch(() => undefined)) === text) return;
  await writeFileAtomic(file, text);
  await keepBackup(file, text);
}

/**
 * A copy, for tools that write index.json in place and may be killed at it, and for bad disks: `kit store check --repair` takes from
 * it the tags of what KitOps cannot keep. Nothing waits for the disk: index.json itself is safe by now.
 */
async function keepBackup(file: string, text: string): Promise<void> {
  const temporary = `${file}.bak.${temporaryName()}.tmp`;
  try {
    await writeFile(temporary, text);
    await rename(temporary, `${file}.bak`);
  } catch {
    await unlink(temporary).catch(() => undefined);
  }
}

/** In the order of KitOps' `list`: by `registry/repository`, where local names have the registry `localhost`. */
export function sortedRepositories({ repositories }: StoreIndex): [string, RepositoryIndex][] {
  return [...repositories].toSorted(([a], [b]) => compareBytes(toKitopsName(a), toKitopsName(b)));
}

export function repositoryOf({ repositories }: StoreIndex, name: string): RepositoryIndex {
  return repositories.get(name) ?? EMPTY_REPOSITORY;
}

export function withRepository(store: StoreIndex, name: string, repository: RepositoryIndex): StoreIndex {
  const repositories = new Map(store.repositories);
  if (repository.manifests.length === 0) repositories.delete(name);
  else repositories.set(name, repository);
  return { ...store, repositories };
}

/** `localhost/x` and `x` are one repository; an empty name is that of untagged packs, as in KitOps. */
export function canonicalName(repository: string): string {
  const local = repository.startsWith('localhost/') ? repository.slice('localhost/'.length) : repository;
  return local === '' ? '_' : local;
}

interface Place {
  readonly repository: string;
  readonly tag: string | undefined;
  /** We wrote the entry, and nobody changed its tag since. */
  readonly own: boolean;
  readonly indexOnly: boolean;
}

function placeOf(entry: Descriptor): Place | undefined {
  const refName = refNameOf(entry);
  const written = entry.annotations?.[STORE_REFERENCE];
  const split = splitReference(refName ?? written);
  if (split === undefined) return undefined;
  const own = refName === undefined || refName === written;
  const indexOnly = own && entry.annotations?.[INDEX_ONLY] === 'true';
  // a tool that takes a tag away leaves the manifest in its repository
  if (refName === undefined) return { repository: split.repository, tag: undefined, own, indexOnly };
  return split.tag === undefined ? undefined : { ...split, own, indexOnly };
}

function splitReference(text = ''): { repository: string; tag: string | undefined } | undefined {
  const colon = text.lastIndexOf(':');
  const hasTag = colon > text.lastIndexOf('/');
  const repository = hasTag ? text.slice(0, colon) : text;
  const tag = hasTag ? text.slice(colon + 1) : undefined;
  if (!/^[^@\s]+$/.test(repository) || (tag !== undefined && !/^\w[\w.-]{0,127}$/.test(tag))) return undefined;
  return { repository: canonicalName(repository), tag };
}

/** True for an entry that another tool wrote, unless KitOps moved its tag later. */
function isNews(place: Place, kitops: KitopsRepository | undefined, indexChangedNs: bigint): boolean {
  if (place.own) return false;
  const known = place.tag === undefined ? undefined : kitops?.tags.get(place.tag);
  return known === undefined || (kitops?.tagsChangedNs ?? 0n) <= indexChangedNs;
}

function merge(repositories: Map<string, RepositoryIndex>, entry: Descriptor, { repository: name, tag }: Place): void {
  const manifest = withoutAnnotations(entry, ANNOTATION.refName, STORE_REFERENCE, INDEX_ONLY);
  const repository = repositories.get(name) ?? EMPTY_REPOSITORY;
  repositories.set(name, tag === undefined ? addManifest(repository, manifest) : addTag(repository, manifest, tag));
}

function entriesOf(name: string, repository: RepositoryIndex, indexOnly: ReadonlySet<string>): Descriptor[] {
  const tagged = tagsByDigest(repository);
  return repository.manifests.flatMap((manifest) => {
    const mark = indexOnly.has(keyOf(name, manifest)) ? { [INDEX_ONLY]: 'true' } : {};
    const tags = tagged.get(manifest.digest) ?? [];
    if (tags.length === 0) return [withAnnotations(manifest, { [STORE_REFERENCE]: name, ...mark })];
    return tags.map((tag) =>
      withAnnotations(manifest, { [ANNOTATION.refName]: `${name}:${tag}`, [STORE_REFERENCE]: `${name}:${tag}`, ...mark }),
    );
  });
}

function keyOf(repository: string, { digest }: Descriptor): string {
  return `${repository}@${digest}`;
}
