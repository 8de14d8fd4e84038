import { isKitError, KitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import type { Digest } from '../../oci/digest.ts';
import { formatReference, type Reference, repositoryName } from '../../oci/reference.ts';
import { runAll } from '../../targets/run-all.ts';
import type { GarbageOptions, Store } from '../../targets/store.ts';
import type { Target } from '../../targets/types.ts';
import type { Kit } from '../kit.ts';
import { openRemote } from '../artifact/open-location.ts';

export interface Removed {
  readonly reference: string;
  readonly digest: Digest;
  /** `untagged`: the ModelKit stays, under its other tags. */
  readonly outcome: 'removed' | 'untagged';
}

export interface RemoveResult {
  readonly removed: readonly Removed[];
  /** What could not be removed, each with its reason. */
  readonly failed: readonly { readonly reference: string; readonly error: KitError }[];
  /** Freed in the store. */
  readonly bytes: number;
}

/** Removes from the store: a tag (the ModelKit goes with its last one, or with `force`), or a digest with all its tags. */
export async function remove(
  kit: Kit,
  reference: Reference,
  { force = false }: { force?: boolean } = {},
  call: CallOptions = {},
): Promise<RemoveResult> {
  const store = await kit.store();
  const result = await forEach(reference, async (one) => await removeOne(store, one, force, call));
  const bytes = await freeSpace(store, call);
  return { ...result, bytes };
}

// what was asked is done by now: a damaged ModelKit beside it only keeps space from being freed
async function freeSpace(store: Store, options: GarbageOptions): Promise<number> {
  try {
    return (await store.collectGarbage(options)).bytes;
  } catch (error) {
    if (!(error instanceof KitError)) throw error;
    options.onEvent?.({ type: 'warning', code: error.code, message: `no space was freed in local storage: ${error.message}` });
    return 0;
  }
}

async function forEach(reference: Reference, work: (one: Reference) => Promise<Removed>): Promise<Omit<RemoveResult, 'bytes'>> {
  const removed: Removed[] = [];
  const failed: { reference: string; error: KitError }[] = [];
  for (const one of split(reference)) {
    try {
      removed.push(await work(one));
    } catch (error) {
      if (!isKitError(error)) throw error;
      failed.push({ reference: formatReference(one), error });
    }
  }
  // one name alone fails as any command does; of several the rest is reported
  if (removed.length === 0 && failed.length === 1) throw (failed[0] as { error: KitError }).error;
  return { removed, failed };
}

function split(reference: Reference): Reference[] {
  if (reference.digest !== undefined) return [{ ...reference, tags: [] }];
  const tags = reference.tags.length === 0 ? ['latest'] : reference.tags;
  return tags.map((tag) => ({ ...reference, tags: [tag] }));
}

async function removeOne(store: Store, reference: Reference, force: boolean, call: CallOptions): Promise<Removed> {
  const name = formatReference(reference);
  const repository = repositoryName(reference);
  const tag = reference.digest === undefined ? reference.tags[0] : undefined;
  const digest = tag === undefined ? (reference.digest as Digest) : (await store.repository(repository).resolve(tag, call)).digest;
  const holders = (await store.list()).filter(
    (entry) => entry.descriptor.digest === digest && (repository === '' || entry.repository === store.repository(repository).name),
  );
  if (holders.length === 0)
    throw new KitError('REFERENCE_NOT_FOUND', `model ${name} not found`, { hint: '`kit list` shows what is in local storage' });
  if (tag !== undefined && !force && holders.some((entry) => entry.tags.length > 1)) {
    await store.untag(repository, tag, call);
    return { reference: name, digest, outcome: 'untagged' };
  }
  for (const entry of holders) await store.remove(entry.repository, digest, call);
  return { reference: name, digest, outcome: 'removed' };
}

/** Removes every ModelKit without a tag (not the signatures and SBOMs of one that has a tag), with `force` every one, and downloads that were broken off. */
export async function removeAll(kit: Kit, { force = false }: { force?: boolean } = {}, call: CallOptions = {}): Promise<RemoveResult> {
  const store = await kit.store();
  const removed: Removed[] = [];
  const listed = await store.list();
  const untagged = force ? [] : await store.untagged(call);
  for (const { repository, tags, descriptor } of listed) {
    if (!force && !untagged.some((one) => one.repository === repository && one.descriptor.digest === descriptor.digest)) continue;
    await store.remove(repository, descriptor.digest, call).catch((error: unknown) => {
      // a signature went with what it signs
      if (!isKitError(error, 'REFERENCE_NOT_FOUND')) throw error;
    });
    for (const tag of tags) removed.push({ reference: `${repository}:${tag}`, digest: descriptor.digest, outcome: 'untagged' });
    removed.push({
      reference: repository === '_' ? descriptor.digest : `${repository}@${descriptor.digest}`,
      digest: descriptor.digest,
      outcome: 'removed',
    });
  }
  const bytes = await freeSpace(store, { ...call, partials: true });
  return { removed, failed: [], bytes };
}

/**
 * Removes from a registry: the tag where the manifest has others, else the manifest.
 * @throws KitError UNSUPPORTED where the registry does not allow it, or could only delete the other tags too
 */
export async function removeRemote(kit: Kit, reference: Reference, call: CallOptions = {}): Promise<RemoveResult> {
  const target = await openRemote(kit, reference);
  // where nothing can be deleted, no tag need be looked at
  (await kit.registry()).repository(reference.registry ?? '', reference.repository).checkDeletion();
  const result = await forEach(reference, async (one) => await removeOneRemote(target, one, call));
  return { ...result, bytes: 0 };
}

async function removeOneRemote(target: Target, reference: Reference, call: CallOptions): Promise<Removed> {
  const name = formatReference(reference);
  const tag = reference.digest === undefined ? (reference.tags[0] as string) : undefined;
  const manifest = await target.resolve(reference.digest ?? (tag as string), call);
  const others = tag === undefined ? [] : await otherTags(target, tag, manifest.digest, call);
  if (tag === undefined || others.length === 0) {
    if (target.can.remove === undefined)
      throw new KitError('UNSUPPORTED', `Removing models is unsupported by registry ${reference.registry ?? ''}`);
    await target.can.remove(manifest, call);
    return { reference: name, digest: manifest.digest, outcome: 'removed' };
  }
  try {
    if (target.can.untag === undefined) throw new KitError('UNSUPPORTED', `${target.name} cannot delete a tag`);
    await target.can.untag(tag, call);
  } catch (cause) {
    if (!isKitError(cause, 'UNSUPPORTED')) throw cause;
    throw new KitError(
      'UNSUPPORTED',
      `${name}: the registry cannot delete a tag alone, and ${manifest.digest} is also tagged ${others.join(', ')}`,
      {
        cause,
        hint: `to delete it with all its tags: \`kit remove --remote ${target.name}@${manifest.digest}\``,
      },
    );
  }
  return { reference: name, digest: manifest.digest, outcome: 'untagged' };
}

async function otherTags(target: Target, tag: string, digest: Digest, call: CallOptions): Promise<string[]> {
  if (target.can.tags === undefined) return [];
  const tags = (await Array.fromAsync(target.can.tags(call))).filter((other) => other !== tag);
  const same: string[] = [];
  await runAll(tags, 5, call.signal, async (other, signal) => {
    const found = await target.resolve(other, { ...call, signal }).catch((error: unknown) => {
      if (isKitError(error, 'REFERENCE_NOT_FOUND')) return undefined;
      throw error;
    });
    if (found?.digest === digest) same.push(other);
  });
  return same.toSorted();
}
