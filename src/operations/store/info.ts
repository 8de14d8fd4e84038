import { access, constants, stat, statfs, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { reflink } from '../../blobs/reflink.ts';
import { isKitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import type { Digest } from '../../oci/digest.ts';
import { isManifestType } from '../../oci/media-types.ts';
import { findGarbage } from '../../targets/garbage.ts';
import { leftoversOf } from '../../targets/leftovers.ts';
import { isAbandoned, type LockHolder } from '../../targets/lock-file.ts';
import type { Store } from '../../targets/store.ts';
import { survey } from '../../targets/survey.ts';
import { temporaryName } from '../../targets/temporary-name.ts';
import type { Kit } from '../kit.ts';
import { type CacheUse, useOfCaches } from './caches.ts';

/** A process that is at work in the store. */
export interface StoreHolder {
  readonly what: 'adding' | 'changing the index';
  readonly pid: number | undefined;
  readonly host: string | undefined;
  /** RFC 3339. */
  readonly since: string | undefined;
}

export interface StoreInfo {
  readonly home: string;
  readonly storage: string;
  readonly exists: boolean;
  readonly fileSystem: {
    /** `ext4`, or the number that statfs(2) gives. */
    readonly type: string;
    readonly totalBytes: number;
    readonly freeBytes: number;
    /** Undefined where it could not be tried. */
    readonly reflinks: boolean | undefined;
  };
  readonly repositories: number;
  /** Manifests that are listed, signatures and indexes too. */
  readonly manifests: number;
  readonly untagged: number;
  readonly tags: number;
  readonly blobs: number;
  /** Bytes of all blobs, each counted once. */
  readonly bytes: number;
  /** What they take on the disk: less where there are holes. */
  readonly diskBytes: number;
  /** What they would take if every ModelKit had its own: more by what they share. */
  readonly unsharedBytes: number;
  /** What `kit store prune` would free. */
  readonly reclaimable: { readonly untagged: number; readonly blobs: number; readonly bytes: number } | undefined;
  readonly partials: { readonly files: number; readonly bytes: number };
  readonly leftovers: { readonly files: number; readonly bytes: number };
  readonly caches: CacheUse;
  readonly holders: readonly StoreHolder[];
}

/** f_type of statfs(2) on Linux. */
const FILE_SYSTEMS: ReadonlyMap<number, string> = new Map([
  [0xef53, 'ext4'],
  [0x58465342, 'xfs'],
  [0x9123683e, 'btrfs'],
  [0x01021994, 'tmpfs'],
  [0x794c7630, 'overlayfs'],
  [0x2fc12fc1, 'zfs'],
  [0xf2f52010, 'f2fs'],
  [0x6969, 'nfs'],
  [0xff534d42, 'cifs'],
  [0xfe534d42, 'smb2'],
  [0x65735546, 'fuse'],
  [0x00c36400, 'ceph'],
  [0x01021997, '9p'],
  [0x4d44, 'fat'],
  [0x2011bab0, 'exfat'],
]);

/** What the store holds, what it takes and who is at work in it. Nothing is hashed. */
export async function storeInfo(kit: Kit, call: CallOptions = {}): Promise<StoreInfo> {
  const store = await kit.store();
  const index = await store.read();
  const entries = await store.list();
  const sizes = new Map<Digest, number>();
  let diskBytes = 0;
  for await (const { digest, size } of store.blobs.list()) {
    sizes.set(digest, size);
    diskBytes += await allocated(store.blobs.pathOf(digest));
  }
  const leftovers = await leftoversOf(store.storage);
  const partials = leftovers.filter(({ kind }) => kind === 'partial');
  const others = leftovers.filter(({ kind }) => kind !== 'partial');
  return {
    home: kit.home,
    storage: store.storage,
    exists: await store.exists(),
    fileSystem: await fileSystemOf(kit.home, store.storage),
    repositories: index.repositories.size,
    manifests: entries.length,
    untagged: entries.filter(({ tags }) => tags.length === 0).length,
    tags: entries.reduce((total, { tags }) => total + tags.length, 0),
    blobs: sizes.size,
    bytes: total([...sizes.values()]),
    diskBytes,
    unsharedBytes: await unsharedBytes(store, call),
    reclaimable: await reclaimable(store, call),
    partials: { files: partials.length, bytes: total(partials.map(({ bytes }) => bytes)) },
    leftovers: { files: others.length, bytes: total(others.map(({ bytes }) => bytes)) },
    caches: await useOfCaches(kit, (digest) => sizes.has(digest), false),
    holders: await holdersOf(store),
  };
}

async function unsharedBytes(store: Store, call: CallOptions): Promise<number> {
  const own = new Map((await store.list()).map(({ descriptor }) => [descriptor.digest, descriptor]));
  const roots = [...own.values()].filter(({ mediaType }) => isManifestType(mediaType));
  const { uses } = await survey(
    store.blobs,
    roots.map((descriptor) => ({ name: descriptor.digest, descriptor })),
    call,
  );
  let bytes = 0;
  for (const { descriptor, usedBy } of uses.values()) bytes += descriptor.size * usedBy.size;
  return bytes;
}

async function reclaimable(store: Store, call: CallOptions): Promise<StoreInfo['reclaimable']> {
  try {
    const { manifests, blobs } = await findGarbage(store.blobs, await store.read(), { ...call, untagged: true });
    return { untagged: manifests.length, blobs: blobs.length, bytes: total(blobs.map(({ size }) => size)) };
  } catch (error) {
    // a damaged manifest: what it reaches is unknown
    if (!isKitError(error)) throw error;
    call.onEvent?.({ type: 'warning', code: error.code, message: `what can be freed is unknown: ${error.message}` });
    return undefined;
  }
}

async function holdersOf(store: Store): Promise<StoreHolder[]> {
  const describe = ({ process, startedAt }: LockHolder, what: StoreHolder['what']): StoreHolder => ({
    what,
    pid: process?.pid,
    host: process?.host,
    since: startedAt,
  });
  const lock = await store.lockHolder();
  const changing = lock === undefined || isAbandoned(lock) ? [] : [describe(lock, 'changing the index')];
  return [...(await store.holders()).map((holder) => describe(holder, 'adding')), ...changing];
}

async function fileSystemOf(home: string, storage: string): Promise<StoreInfo['fileSystem']> {
  const { type, bsize, blocks, bavail } = await statfs(storage)
    .catch(async () => await statfs(home))
    .catch(() => ({ type: 0, bsize: 0, blocks: 0, bavail: 0 }));
  const number = type >>> 0;
  return {
    type: FILE_SYSTEMS.get(number) ?? `0x${number.toString(16)}`,
    totalBytes: blocks * bsize,
    freeBytes: bavail * bsize,
    reflinks: await canReflink(storage),
  };
}

/** Tried, for XFS and ZFS may have them or not. Undefined where nothing may be written. */
async function canReflink(storage: string): Promise<boolean | undefined> {
  const isWritable = await access(storage, constants.W_OK).then(
    () => true,
    () => false,
  );
  if (!isWritable) return undefined;
  const copy = join(storage, `.reflink-${temporaryName()}.tmp`);
  const isCloned = await reflink(join(storage, 'oci-layout'), copy);
  await unlink(copy).catch(() => undefined);
  return isCloned;
}

async function allocated(path: string): Promise<number> {
  return await stat(path).then(
    ({ blocks }) => blocks * 512,
    () => 0,
  );
}

function total(numbers: readonly number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0);
}
