import { KitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import type { Digest } from '../../oci/digest.ts';
import { describeHolder } from '../../targets/lock-file.ts';
import type { Kit } from '../kit.ts';
import { useOfCaches } from './caches.ts';

export interface StorePruneArguments {
  /** True: only says what would go. */
  readonly dryRun?: boolean;
  /** True: ModelKits without a tag stay, as long as they are listed. */
  readonly keepUntagged?: boolean;
  /** True: downloads that were broken off go too, so that a next pull begins anew. */
  readonly partials?: boolean;
  /** Only what was written longer ago than this, in ms. */
  readonly olderThanMs?: number;
}

export interface StorePruneResult {
  readonly dryRun: boolean;
  /** `REPOSITORY@DIGEST`, or the digest alone for a pack without a name. */
  readonly untagged: readonly string[];
  readonly blobs: readonly { readonly digest: Digest; readonly size: number }[];
  /** Files of dead processes, damaged blobs that were moved aside, and partial downloads where they were asked for. */
  readonly leftovers: readonly { readonly path: string; readonly kind: string; readonly bytes: number }[];
  /** Entries of `<home>/cache`, `<home>/kitfiles` and `<home>/sources` for what is not in the store any more. */
  readonly cacheEntries: number;
  /** Freed in the store. */
  readonly bytes: number;
}

/**
 * Removes what no tag reaches from the store. Signatures, SBOMs and what else is about an artifact that stays, stay.
 * @throws KitError STORE_BUSY while another process, or another call here, is adding to the store: then nothing is removed
 */
export async function pruneStore(kit: Kit, args: StorePruneArguments = {}, call: CallOptions = {}): Promise<StorePruneResult> {
  const { dryRun = false, keepUntagged = false, partials = false, olderThanMs } = args;
  const store = await kit.store();
  const before = olderThanMs === undefined ? undefined : Date.now() - olderThanMs;
  const report = await store.collectGarbage({ ...call, dryRun, partials, untagged: !keepUntagged, before });
  const [holder] = report.heldBy;
  if (holder !== undefined) {
    throw new KitError('STORE_BUSY', `nothing was pruned: ${describeHolder(holder)} is adding to ${store.storage}`, {
      hint: 'run it again when that has ended; `kit store info` shows who is at work',
    });
  }
  const held = new Set<Digest>();
  for await (const { digest } of store.blobs.list()) held.add(digest);
  if (dryRun) for (const { digest } of report.blobs) held.delete(digest);
  const { layers, kitfiles, sources, imports } = await useOfCaches(kit, (digest) => held.has(digest), !dryRun);
  return {
    dryRun,
    untagged: report.manifests.map(({ repository, descriptor }) =>
      repository === '_' ? descriptor.digest : `${repository}@${descriptor.digest}`,
    ),
    blobs: report.blobs,
    leftovers: report.leftovers.map(({ path, kind, bytes }) => ({ path, kind, bytes })),
    cacheEntries: layers.stale + kitfiles.stale + sources.stale + imports.stale,
    bytes: report.bytes,
  };
}
