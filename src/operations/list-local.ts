import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import type { CallOptions } from '../events.ts';
import { isManifestType } from '../oci/media-types.ts';
import { fetchMetadata } from '../targets/manifest-bytes.ts';
import { readSoundBlob } from '../targets/sound-blob.ts';
import type { Store, StoreEntry } from '../targets/store.ts';
import type { Kit } from './kit.ts';
import { ListCache } from './list-cache.ts';
import { describeArtifact, type ListEntry } from './list-entry.ts';
import type { LoadedArtifact } from './load-artifact.ts';

const READS_AT_A_TIME = 64;

/** What is in the store, by repository and digest. One that cannot be read is a warning, so that the others are seen. */
export async function listLocal(kit: Kit, call: CallOptions = {}): Promise<ListEntry[]> {
  const store = await kit.store();
  const found = (await store.list()).filter(({ descriptor }) => isManifestType(descriptor.mediaType));
  const cache = await ListCache.open(join(kit.home, 'cache', 'list.json'), (digest) => store.blobs.pathOf(digest));
  const present: ListEntry[] = [];
  for (const [index, one] of found.entries()) {
    // files are looked at synchronously: an interrupt is let in now and then
    if (index % READS_AT_A_TIME === 0) await setImmediate();
    call.signal?.throwIfAborted();
    const { tags, descriptor } = one;
    const repository = one.repository === '_' ? '<none>' : one.repository;
    const known = cache.find(descriptor.digest);
    if (known === undefined) {
      const load = async (): Promise<LoadedArtifact> => cache.add(await readStored(store, one, call));
      const entry = await describeArtifact(load, { repository, tags, reference: descriptor.digest }, call);
      if (entry !== undefined) present.push(entry);
    } else if (known.isModel) {
      present.push({ repository, tags, digest: descriptor.digest, ...known.summary });
    }
  }
  await cache.save();
  // the repositories are in order already; the sort is stable
  return present.toSorted((a, b) => (a.repository === b.repository ? compare(a.digest, b.digest) : 0));
}

async function readStored({ blobs }: Store, { repository, descriptor }: StoreEntry, call: CallOptions): Promise<LoadedArtifact> {
  // the formats and their schemas: not needed for what was listed before
  const { readArtifact } = await import('./load-artifact.ts');
  return await readArtifact(
    descriptor,
    `${repository}:${descriptor.digest}`,
    (blob) => readSoundBlob(blobs.pathOf(blob.digest), blob) ?? fetchMetadata(blobs, blob, call),
  );
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
