import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import type { CallOptions } from '../../events.ts';
import { isKitError } from '../../errors.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import { childrenOf } from '../../oci/manifest.ts';
import { isIndexType, isManifestType } from '../../oci/media-types.ts';
import { fetchMetadata } from '../../targets/manifest-bytes.ts';
import { readSoundBlob } from '../../targets/sound-blob.ts';
import type { Store, StoreEntry } from '../../targets/store.ts';
import type { Kit } from '../kit.ts';
import { ListCache } from './cache.ts';
import type { Filter } from '../artifact/filter.ts';
import { describeArtifact, type ListEntry } from './entry.ts';
import type { LoadedArtifact } from '../artifact/load-artifact.ts';

const READS_AT_A_TIME = 64;

/**
 * What is in the store, by repository and digest, and with filters only what has a layer that one of them wants. One that cannot be
 * read is a warning, so that the others are seen.
 */
export async function listLocal(kit: Kit, call: CallOptions = {}, filters: readonly Filter[] = []): Promise<ListEntry[]> {
  const store = await kit.store();
  const all = await withMembers(store, await store.list(), call);
  const found = all.filter(({ descriptor }) => isManifestType(descriptor.mediaType));
  const cache = await ListCache.open(join(kit.home, 'cache', 'list.json'), (digest) => store.blobs.pathOf(digest));
  const present: ListEntry[] = [];
  for (const [index, one] of found.entries()) {
    // files are looked at synchronously: an interrupt is let in now and then
    if (index % READS_AT_A_TIME === 0) await setImmediate();
    call.signal?.throwIfAborted();
    const { tags, descriptor } = one;
    const repository = one.repository === '_' ? '<none>' : one.repository;
    // what is remembered is too little to filter by
    const known = filters.length === 0 ? cache.find(descriptor.digest) : undefined;
    if (known === undefined) {
      const load = async (): Promise<LoadedArtifact> => cache.add(await readStored(store, one, call));
      const entry = await describeArtifact(load, { repository, tags, reference: descriptor.digest, filters }, call);
      if (entry !== undefined) present.push(entry);
    } else if (known.isModel) {
      present.push({ repository, tags, digest: descriptor.digest, ...known.summary });
    }
  }
  if (filters.length === 0) await cache.save();
  // the repositories are in order already; the sort is stable
  return present.toSorted((a, b) => (a.repository === b.repository ? compare(a.digest, b.digest) : 0));
}

/** With what is in the store only as a part of an index: it has no entry of its own. */
async function withMembers({ blobs }: Store, listed: readonly StoreEntry[], call: CallOptions): Promise<StoreEntry[]> {
  const known = new Set(listed.map(({ repository, descriptor }) => `${repository}@${descriptor.digest}`));
  const all: StoreEntry[] = [];
  for (const entry of listed) {
    all.push(entry);
    if (!isIndexType(entry.descriptor.mediaType)) continue;
    for (const { mediaType, digest, size } of await childrenIn(blobs, entry.descriptor, call)) {
      const name = `${entry.repository}@${digest}`;
      if (known.has(name) || !existsSync(blobs.pathOf(digest))) continue;
      known.add(name);
      all.push({ repository: entry.repository, tags: [], descriptor: { mediaType, digest, size } });
    }
  }
  return all;
}

async function childrenIn(blobs: Store['blobs'], index: Descriptor, call: CallOptions): Promise<readonly Descriptor[]> {
  try {
    return childrenOf(index, readSoundBlob(blobs.pathOf(index.digest), index) ?? (await fetchMetadata(blobs, index, call)));
  } catch (error) {
    // an index is no ModelKit: that it is damaged is for `kit store check` to say
    if (isKitError(error)) return [];
    throw error;
  }
}

async function readStored({ blobs }: Store, { repository, descriptor }: StoreEntry, call: CallOptions): Promise<LoadedArtifact> {
  // the formats and their schemas: not needed for what was listed before
  const { readArtifact } = await import('../artifact/load-artifact.ts');
  return await readArtifact(
    descriptor,
    `${repository}:${descriptor.digest}`,
    (blob) => readSoundBlob(blobs.pathOf(blob.digest), blob) ?? fetchMetadata(blobs, blob, call),
  );
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
