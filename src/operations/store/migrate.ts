import { realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isKitError, KitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import type { Digest } from '../../oci/digest.ts';
import { type CopyOptions, copyPlanned, planCopy } from '../../targets/copy.ts';
import { tagsByDigest } from '../../targets/repository-index.ts';
import { openStore, type Store } from '../../targets/store.ts';
import type { Kit } from '../kit.ts';

export interface MigrateArguments {
  /** The other program's folder, the one with `storage` in it. */
  readonly from: string;
  /** Says what would be taken over: manifests are read, nothing is written. */
  readonly dryRun?: boolean;
}

/** One artifact of the other store. `conflict`: a tag names something else here, and stays; `damaged`: see `problem`. */
export interface Migrated {
  /** Empty for what belongs to no repository. */
  readonly repository: string;
  readonly digest: Digest;
  /** Tags that it has here now, or would have. */
  readonly tags: readonly string[];
  /** Tags that name something else here. */
  readonly conflicts: readonly string[];
  /** Bytes of blobs that were not here. */
  readonly bytes: number;
  readonly problem: string | undefined;
}

/**
 * Takes over the storage of KitOps, or of this program, from another folder: all manifests and tags, every blob checked against its
 * digest. Blobs share their blocks where the file system can do that. The other store is only read, so that both can go on.
 * @throws KitError PATH_NOT_FOUND | STORE_INVALID for a folder without a store, USAGE for the one in use
 */
export async function migrate(kit: Kit, { from, dryRun = false }: MigrateArguments, call: CallOptions = {}): Promise<Migrated[]> {
  await requireStore(from, kit.home);
  const [source, target] = [await openStore(from), await kit.store()];
  const migrated: Migrated[] = [];
  const counted = new Set<Digest>();
  for (const [repository, content] of (await source.read()).repositories) {
    const tags = tagsByDigest(content);
    for (const descriptor of content.manifests) {
      const item = { repository, descriptor, tags: tags.get(descriptor.digest) ?? [] };
      migrated.push(await takeOver({ source, target, dryRun, counted }, item, { ...call, concurrency: kit.concurrency }));
    }
  }
  return migrated;
}

async function requireStore(from: string, home: string): Promise<void> {
  const hint = 'name the folder that holds `storage`: $KITOPS_HOME, or ~/.local/share/kitops';
  const found = await stat(join(from, 'storage', 'index.json')).catch(() => undefined);
  if (found === undefined) throw new KitError('PATH_NOT_FOUND', `${from} holds no storage of KitOps`, { hint });
  const [there, here] = await Promise.all([realpath(from), realpath(home).catch(() => home)]);
  if (there === here)
    throw new KitError('USAGE', `${from} is the storage in use: there is nothing to take over`, { hint: '`kit list` shows what it holds' });
}

interface Migration {
  readonly source: Store;
  readonly target: Store;
  readonly dryRun: boolean;
  /** Blobs that an artifact before brings along. */
  readonly counted: Set<Digest>;
}

interface Item {
  readonly repository: string;
  readonly descriptor: Descriptor;
  readonly tags: readonly string[];
}

async function takeOver({ source, target, dryRun, counted }: Migration, item: Item, call: CopyOptions): Promise<Migrated> {
  const { repository, descriptor, tags } = item;
  const { digest } = descriptor;
  const to = target.repository(repository);
  const free: string[] = [];
  for (const tag of tags) if (await isFree(to, tag, digest)) free.push(tag);
  const result = { repository, digest, tags: free, conflicts: tags.filter((tag) => !free.includes(tag)) };
  try {
    const plan = await planCopy(source.repository(repository), [descriptor], call);
    let bytes = 0;
    for (const blob of plan.blobs.values()) {
      if (counted.has(blob.digest) || (await target.blobs.has(blob, call))) continue;
      counted.add(blob.digest);
      bytes += blob.size;
    }
    if (!dryRun) {
      const planned = free.map((tag) => ({ descriptor, tag }));
      await copyPlanned(plan, to, planned, { ...call, action: 'pull' });
    }
    return { ...result, bytes, problem: undefined };
  } catch (error) {
    // what is damaged there does not keep the rest from being taken over
    if (!isKitError(error, 'BLOB_NOT_FOUND', 'DIGEST_MISMATCH', 'SIZE_MISMATCH', 'MANIFEST_INVALID')) throw error;
    return { ...result, tags: [], bytes: 0, problem: error.message };
  }
}

async function isFree(target: ReturnType<Store['repository']>, tag: string, digest: Digest): Promise<boolean> {
  try {
    return (await target.resolve(tag)).digest === digest;
  } catch (error) {
    if (isKitError(error, 'REFERENCE_NOT_FOUND')) return true;
    throw error;
  }
}

/** @throws KitError STORE_DAMAGED, TAG_MOVED when not all was taken over */
export function requireMigrated(migrated: readonly Migrated[]): void {
  const damaged = migrated.filter(({ problem }) => problem !== undefined);
  if (damaged.length > 0) {
    throw new KitError('STORE_DAMAGED', `${damaged.length} of ${migrated.length} artifacts are damaged there and were left out`, {
      hint: 'pull or pack them again; all others were taken over',
    });
  }
  const conflicts = migrated.flatMap(({ repository, conflicts: names }) => names.map((name) => `${repository}:${name}`));
  if (conflicts.length === 0) return;
  throw new KitError('TAG_MOVED', `${conflicts.join(', ')}: local storage has something else under that name, which stays`, {
    hint: 'the other one is here without a name: `kit tag REPOSITORY@DIGEST NAME` gives it one',
  });
}
