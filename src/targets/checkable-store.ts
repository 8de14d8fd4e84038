import { access, readdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { isKitError } from '../errors.ts';
import type { Digest } from '../oci/digest.ts';
import { writeFileAtomic } from './atomic-file.ts';
import type { Checkable, Lists } from './checkable.ts';
import type { Finding } from './finding.ts';
import { LAYOUT_MARKER } from './layout-index.ts';
import type { LostManifest } from './lost-manifests.ts';
import { addManifest, findManifest, removeManifests, tagsByDigest } from './repository-index.ts';
import type { Store } from './store.ts';
import { isIndexBehind, repositoryOf, salvageStoreIndex, sortedRepositories, type StoreIndex, withRepository } from './store-index.ts';
import type { Root } from './survey.ts';

/** The store of this user. */
export function checkableStore(store: Store): Checkable {
  const { storage, blobs } = store;
  const marker = join(storage, 'oci-layout');
  return {
    name: 'local storage',
    directory: storage,
    blobs,
    async lists(): Promise<Lists> {
      const { store: index, broken, isMissing } = await salvageStoreIndex(storage);
      const hasBlobs = await holdsBlobs(storage);
      const findings: Finding[] = broken.map(({ file, error }) => brokenList(file, error.message));
      if (isMissing && hasBlobs) findings.push(missingList(join(storage, 'index.json'), 'note'));
      if (hasBlobs && !(await exists(marker))) findings.push(missingMarker(marker));
      if (broken.length === 0 && !isMissing) findings.push(...behind(storage, index));
      return { roots: rootsOf(index), findings, isIncomplete: broken.length > 0 || (isMissing && hasBlobs) };
    },
    locked: async (work, options) => await lockedIfWritable(async (inside) => await store.withLock(inside, options), work),
    async rewrite(gone: ReadonlySet<Digest>, lost: readonly LostManifest[]): Promise<void> {
      const { store: before, broken } = await salvageStoreIndex(storage);
      for (const { file } of broken) await rename(file, `${file}.broken`);
      await store.write(before, withLost(without(before, gone), lost));
      if (!(await exists(marker))) await writeFileAtomic(marker, LAYOUT_MARKER);
    },
  };
}

function rootsOf(index: StoreIndex): Root[] {
  const listed = sortedRepositories(index).flatMap(([name, content]) => {
    const tags = tagsByDigest(content);
    return content.manifests.flatMap((descriptor): Root[] => {
      const untagged = name === '_' ? descriptor.digest : `${name}@${descriptor.digest}`;
      const names = tags.get(descriptor.digest)?.map((tag) => `${name}:${tag}`) ?? [untagged];
      return names.map((one) => ({ name: one, descriptor }));
    });
  });
  return [...listed, ...index.others.map((descriptor) => ({ name: descriptor.digest, descriptor }))];
}

function behind(storage: string, index: StoreIndex): Finding[] {
  const names = [...index.imported];
  if (names.length > 0) return [behindNote(storage, `the files of KitOps lack what index.json has of ${names.join(', ')}`)];
  return isIndexBehind(index) ? [behindNote(join(storage, 'index.json'), 'it does not say what the files of KitOps do')] : [];
}

function behindNote(path: string, message: string): Finding {
  const remedy = 'the next change writes it anew, as does `--repair`';
  return { code: 'index-behind', severity: 'note', path, usedBy: [], message, remedy };
}

function without(index: StoreIndex, gone: ReadonlySet<Digest>): StoreIndex {
  let after: StoreIndex = { ...index, others: index.others.filter(({ digest }) => !gone.has(digest)) };
  for (const [name, content] of index.repositories) {
    if (content.manifests.some(({ digest }) => gone.has(digest))) after = withRepository(after, name, removeManifests(content, gone));
  }
  return after;
}

/** A referrer belongs where its subject is; what is left belongs to no repository that could be told. */
function withLost(index: StoreIndex, lost: readonly LostManifest[]): StoreIndex {
  let after = index;
  for (const { descriptor, subject } of lost) {
    const homes = [...after.repositories].filter(([, content]) => subject !== undefined && findManifest(content, subject) !== undefined);
    const names = homes.length === 0 ? ['_'] : homes.map(([name]) => name);
    for (const name of names) after = withRepository(after, name, addManifest(repositoryOf(after, name), descriptor));
  }
  return after;
}

export function brokenList(path: string, message: string): Finding {
  const why = message.startsWith(`${path}: `) ? message.slice(path.length + 2) : message;
  return { code: 'index-broken', severity: 'damage', path, usedBy: [], message: why, remedy: '`--repair` rebuilds it' };
}

export function missingList(path: string, severity: Finding['severity']): Finding {
  return { code: 'index-missing', severity, path, usedBy: [], message: 'the file is missing', remedy: '`--repair` rebuilds it' };
}

export function missingMarker(path: string): Finding {
  return { code: 'marker-missing', severity: 'damage', path, usedBy: [], message: 'the file is missing', remedy: '`--repair` writes it' };
}

export async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  );
}

export async function holdsBlobs(directory: string): Promise<boolean> {
  return (await readdir(join(directory, 'blobs', 'sha256')).catch((): string[] => [])).length > 0;
}

/** A check is also for those who may only read. */
export async function lockedIfWritable<T>(lock: (inside: () => Promise<T>) => Promise<T>, work: () => Promise<T>): Promise<T> {
  let began = false;
  try {
    return await lock(async () => {
      began = true;
      return await work();
    });
  } catch (error) {
    if (began || !isKitError(error, 'PATH_UNREADABLE', 'PATH_NOT_FOUND', 'IO_FAILED')) throw error;
    return await work();
  }
}
