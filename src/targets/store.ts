import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { asPathError } from '../blobs/path-error.ts';
import { isKitError, KitError } from '../errors.ts';
import type { CallOptions } from '../events.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import { writeFileAtomic } from './atomic-file.ts';
import { BlobDirectory } from './blob-directory.ts';
import { findGarbage, type FindGarbageOptions, type GarbageBlob, type ListedManifest, referrersOf, unreachedByTags } from './garbage.ts';
import { DiskReserve } from './disk-reserve.ts';
import { isErrno } from './io-error.ts';
import { isModelKit } from './kitops-index.ts';
import { fetchMetadata } from './manifest-bytes.ts';
import { isManifestType } from '../oci/media-types.ts';
import { checkLayoutMarker, EMPTY_INDEX, LAYOUT_MARKER, readIndexFile, writeIndexFile } from './layout-index.ts';
import { Leases } from './leases.ts';
import { type Leftover, leftoversOf, removeLeftover } from './leftovers.ts';
import { type LockHolder, readLockFile } from './lock-file.ts';
import { withLock } from './lock.ts';
import {
  addTag,
  findManifest,
  notInStore,
  removeManifests,
  removeTag,
  type RepositoryIndex,
  tagsByDigest,
  tagsOn,
} from './repository-index.ts';
import {
  canonicalName,
  isIndexBehind,
  readStoreIndex,
  repositoryOf,
  sortedRepositories,
  type StoreIndex,
  withRepository,
  writeStoreIndex,
} from './store-index.ts';
import { StoreRepository } from './store-repository.ts';
import { syncDirectory } from './sync-file.ts';

/** One manifest in one repository. */
export interface StoreEntry {
  /** `tiny` or `ghcr.io/team/model`; `_` holds packs without a name. */
  readonly repository: string;
  readonly tags: readonly string[];
  readonly descriptor: Descriptor;
}

export interface GarbageOptions extends FindGarbageOptions {
  /** Also delete downloads that were broken off and could be resumed. */
  readonly partials?: boolean | undefined;
  /** Only say what would go. */
  readonly dryRun?: boolean | undefined;
}

export interface GarbageReport {
  /** Manifests that were listed and are not any more. */
  readonly manifests: readonly ListedManifest[];
  readonly blobs: readonly GarbageBlob[];
  /** What dead processes left, and partial downloads where they were asked for. */
  readonly leftovers: readonly Leftover[];
  /** Freed. */
  readonly bytes: number;
  /** Who is adding to the store, so that nothing was looked at. */
  readonly heldBy: readonly LockHolder[];
}

const NOTHING: GarbageReport = { manifests: [], blobs: [], leftovers: [], bytes: 0, heldBy: [] };
const ADDING_MS = 600_000;

interface Adding {
  readonly lease: Promise<AsyncDisposable>;
  readonly timer: NodeJS.Timeout;
}

/** The store below `home`, made when something is first written. @throws KitError STORE_INVALID when what is there is no image layout */
export async function openStore(home: string): Promise<Store> {
  const storage = join(home, 'storage');
  const marker = join(storage, 'oci-layout');
  try {
    checkLayoutMarker(await readFile(marker, 'utf8'), marker);
  } catch (error) {
    if (isErrno(error, 'ENOTDIR')) {
      throw new KitError('STORE_INVALID', `${home} is not a directory, so it cannot hold local storage`, {
        cause: error,
        hint: 'name another folder with `--config` or $KIT_HOME',
      });
    }
    if (!isErrno(error, 'ENOENT')) throw asPathError(error, marker);
  }
  return new Store(storage);
}

/**
 * The models of this user: one image layout in `storage`, whose tags are `REPOSITORY:TAG`, so that skopeo and oras read it too.
 * Blobs are written without a lock. The lock is held only to change index.json and the KitOps files beside it.
 */
export class Store {
  /** The directory of the image layout. */
  readonly storage: string;
  readonly blobs: BlobDirectory;
  readonly #leases: Leases;
  readonly #reserve: DiskReserve;
  readonly #adding = new Map<string, Adding>();

  /** Use `openStore`: it checks the directory. */
  constructor(storage: string) {
    this.storage = storage;
    this.blobs = new BlobDirectory(storage, { stampFile: join(storage, 'verified-blobs') });
    this.#leases = new Leases(join(storage, 'leases'));
    this.#reserve = new DiskReserve(join(storage, 'reserve'));
  }

  /** `tiny` (local) or `ghcr.io/team/model`. The empty name resolves digests of any repository. */
  repository(name: string): StoreRepository {
    return new StoreRepository(this, name);
  }

  async list(): Promise<StoreEntry[]> {
    return sortedRepositories(await this.read()).flatMap(([name, repository]) => {
      const tags = tagsByDigest(repository);
      return repository.manifests.map((descriptor) => ({ repository: name, tags: tags.get(descriptor.digest) ?? [], descriptor }));
    });
  }

  /** What no tag reaches, but for signatures and the like of what one does. @throws KitError when a manifest cannot be read */
  async untagged(options: CallOptions = {}): Promise<readonly ListedManifest[]> {
    return await unreachedByTags(this.blobs, await this.read(), options);
  }

  /** @throws KitError REFERENCE_NOT_FOUND when the store does not hold the manifest */
  async tag(repository: string, manifest: Descriptor, tag: string, options: CallOptions = {}): Promise<void> {
    if (this.blobs.localPath(manifest) === undefined) {
      throw new KitError('REFERENCE_NOT_FOUND', `cannot tag ${repository}:${tag}: the store has no ${manifest.digest}`);
    }
    await this.updateRepository(repository, (content) => addTag(content, manifest, tag), options);
  }

  /** Takes the tag away; the manifest stays. @throws KitError REFERENCE_NOT_FOUND */
  async untag(repository: string, tag: string, options: CallOptions = {}): Promise<void> {
    const change = (content: RepositoryIndex): RepositoryIndex => {
      if (!content.tags.has(tag)) throw notInStore(canonicalName(repository), content, tag);
      return removeTag(content, tag);
    };
    await this.#reserve.spend(async () => {
      await this.updateRepository(repository, change, options);
    });
  }

  /**
   * Takes a manifest out of a repository, with its tags and, unless another repository has it too, what refers to it (signatures,
   * SBOMs) and has no tag of its own. `collectGarbage` frees the space. @throws KitError REFERENCE_NOT_FOUND
   */
  async remove(repository: string, digest: Digest, options: CallOptions = {}): Promise<void> {
    const name = canonicalName(repository);
    const change = async (store: StoreIndex): Promise<StoreIndex> => {
      const content = repositoryOf(store, name);
      if (findManifest(content, digest) === undefined) throw notInStore(name, content, digest);
      const without = withRepository(store, name, removeManifests(content, new Set([digest])));
      const isShared = [...without.repositories.values()].some((other) => findManifest(other, digest) !== undefined);
      return isShared ? without : await this.#withoutReferrers(without, digest, options);
    };
    await this.#reserve.spend(async () => {
      await this.update(change, options);
    });
  }

  /**
   * Deletes every blob that no listed manifest reaches, unless someone is adding blobs (see Leases; KitOps' own `kit` takes no
   * lease: it must not pull into the same home meanwhile). Under the lock files are only renamed; they are deleted after.
   */
  async collectGarbage(options: GarbageOptions = {}): Promise<GarbageReport> {
    if (!(await this.exists())) return NOTHING;
    const collect = async (): Promise<GarbageReport> => await this.#discardUnneeded(options);
    const found = await this.#reserve.spend(async () => await withLock(this.#lockFile, collect, { signal: options.signal }));
    const leftovers = await this.#tidy(options, found.heldBy.length > 0);
    await this.#reserve.keep();
    return { ...found, leftovers, bytes: [...found.blobs.map(({ size }) => size), ...leftovers.map(({ bytes }) => bytes)].reduce(sum, 0) };
  }

  /** Who is adding to the store now. */
  async holders(): Promise<LockHolder[]> {
    return await this.#leases.holders();
  }

  /** Who is changing the index now; the file may be a dead process's, which the next one takes over. */
  async lockHolder(): Promise<LockHolder | undefined> {
    return await readLockFile(this.#lockFile).catch(() => undefined);
  }

  /** Runs `work` while no other process changes the index. */
  async withLock<T>(work: () => Promise<T>, options: CallOptions = {}): Promise<T> {
    return await withLock(this.#lockFile, work, { signal: options.signal });
  }

  /** Keeps blobs from being collected until the lease ends; to be had before the first blob is looked for or written. */
  async lease(options: CallOptions = {}): Promise<AsyncDisposable> {
    await this.prepare();
    const end = await withLock(this.#lockFile, async () => await this.#leases.grant(), { signal: options.signal });
    return { [Symbol.asyncDispose]: end };
  }

  /**
   * For callers that ask for no lease: one is held from the first blob they push to a repository until they push a manifest
   * there, or for ten minutes. What they merely find in the store is not protected.
   */
  async beginAdding(repository: string, options: CallOptions = {}): Promise<void> {
    clearTimeout(this.#adding.get(repository)?.timer);
    const lease = this.#adding.get(repository)?.lease ?? this.lease({ signal: options.signal });
    const timer = setTimeout(() => void this.endAdding(repository), ADDING_MS).unref();
    this.#adding.set(repository, { lease, timer });
    await lease.catch((error: unknown) => {
      clearTimeout(timer);
      this.#adding.delete(repository);
      throw error;
    });
  }

  async endAdding(repository: string): Promise<void> {
    const adding = this.#adding.get(repository);
    this.#adding.delete(repository);
    clearTimeout(adding?.timer);
    await (await adding?.lease)?.[Symbol.asyncDispose]();
  }

  async read(): Promise<StoreIndex> {
    return await readStoreIndex(this.storage);
  }

  async updateRepository(name: string, change: (content: RepositoryIndex) => RepositoryIndex, options: CallOptions = {}): Promise<void> {
    const canonical = canonicalName(name);
    await this.update((store) => withRepository(store, canonical, change(repositoryOf(store, canonical))), options);
  }

  /** Reads, changes and writes the index, one process at a time. */
  async update(change: (store: StoreIndex) => StoreIndex | Promise<StoreIndex>, options: CallOptions = {}): Promise<void> {
    await this.prepare();
    const work = async (): Promise<void> => {
      const before = await this.read();
      await this.write(before, await change(before));
    };
    await withLock(this.#lockFile, work, { signal: options.signal });
  }

  /** Under the lock only. */
  async write(before: StoreIndex, after: StoreIndex): Promise<void> {
    // a power cut must not keep the index and lose the names of the blobs that it reaches
    await this.blobs.settle();
    await writeStoreIndex(this.storage, before, after, async (manifest) => await this.#isModelKit(manifest));
  }

  /** Makes the layout where there is none yet. */
  async prepare(): Promise<void> {
    if (await this.exists()) return;
    await mkdir(join(this.storage, 'blobs', 'sha256'), { recursive: true }).catch((error: unknown) => {
      throw cannotMake(this.storage, error);
    });
    await withLock(this.#lockFile, async () => {
      const index = join(this.storage, 'index.json');
      if ((await readIndexFile(index)) === undefined) await writeIndexFile(index, EMPTY_INDEX);
      // last: with this file the directory is a layout, which has an index
      await writeFileAtomic(join(this.storage, 'oci-layout'), LAYOUT_MARKER);
    });
    await this.#reserve.keep();
  }

  get #lockFile(): string {
    return join(this.storage, 'index.lock');
  }

  /** False while nothing was written yet. */
  async exists(): Promise<boolean> {
    return await readFile(join(this.storage, 'oci-layout')).then(
      () => true,
      () => false,
    );
  }

  async #isModelKit(manifest: Descriptor): Promise<boolean> {
    try {
      return isManifestType(manifest.mediaType) && isModelKit(manifest, await fetchMetadata(this.blobs, manifest));
    } catch (error) {
      // missing or malformed: nothing to show to KitOps
      if (error instanceof KitError) return false;
      throw error;
    }
  }

  async #withoutReferrers(store: StoreIndex, subject: Digest, options: CallOptions): Promise<StoreIndex> {
    const untagged = [...store.repositories.values()].flatMap((content) =>
      content.manifests.filter(({ digest }) => tagsOn(content, digest).length === 0),
    );
    const referrers = await referrersOf(this.blobs, new Set([subject]), untagged, options);
    let result = store;
    for (const [name, content] of store.repositories) {
      const gone = new Set([...referrers].filter((digest) => tagsOn(content, digest).length === 0));
      if (gone.size > 0) result = withRepository(result, name, removeManifests(content, gone));
    }
    return result;
  }

  async #discardUnneeded(options: GarbageOptions): Promise<GarbageReport> {
    const heldBy = await this.#leases.holders();
    if (heldBy.length > 0) return { ...NOTHING, heldBy };
    const before = await this.read();
    const { index, manifests, blobs } = await findGarbage(this.blobs, before, options);
    if (options.dryRun === true) return { ...NOTHING, manifests, blobs };
    // also where index.json is behind the files of KitOps: other tools would find there what is deleted next
    if (index !== before || isIndexBehind(before)) await this.write(before, index);
    if (blobs.length > 0) {
      // nor lose blobs that the index on the disk still names
      await syncDirectory(this.storage);
      for (const { digest } of blobs) await this.blobs.discard(digest);
      const gone = new Set<string>(blobs.map(({ digest }) => digest));
      await this.blobs.forget((digest) => !gone.has(digest));
    }
    return { ...NOTHING, manifests, blobs };
  }

  /** Returns what counts as freed: not the blobs that were just collected, which lie in `ingest/` by now. */
  async #tidy(
    { partials = false, before = Number.POSITIVE_INFINITY, dryRun = false }: GarbageOptions,
    isHeld: boolean,
  ): Promise<Leftover[]> {
    const removed: Leftover[] = [];
    for (const leftover of isHeld && dryRun ? [] : await leftoversOf(this.storage)) {
      const isWanted = leftover.kind !== 'partial' || (partials && leftover.modifiedMs < before);
      if (!isWanted || !(dryRun || (await removeLeftover(leftover)))) continue;
      if (leftover.kind !== 'garbage') removed.push(leftover);
    }
    return removed;
  }
}

/** Where the user has no home directory, or a read-only one, it can lie elsewhere. */
function cannotMake(storage: string, cause: unknown): Error {
  const error = asPathError(cause, storage);
  if (!isKitError(error, 'PATH_UNREADABLE', 'IO_FAILED')) return error;
  return new KitError(error.code, `local storage cannot be made: ${error.message}`, {
    cause,
    hint: 'name a folder for it that may be written with `--config` or $KIT_HOME',
  });
}

function sum(a: number, b: number): number {
  return a + b;
}
