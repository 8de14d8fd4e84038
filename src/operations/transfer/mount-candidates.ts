import { stat } from 'node:fs/promises';
import { isKitError } from '../../errors.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import type { Digest } from '../../oci/digest.ts';
import { childrenOf } from '../../oci/manifest.ts';
import { isManifestType } from '../../oci/media-types.ts';
import { fetchMetadata } from '../../targets/manifest-bytes.ts';
import type { Store } from '../../targets/store.ts';

/** Manifests that are read to find out who has a blob: the newest. */
const MAX_MANIFESTS = 100;
/** Of one repository, so that a long history does not hide the others. */
const MAX_PER_REPOSITORY = 20;
/** What is asked of the registry for one blob. */
const MAX_CANDIDATES = 3;

/** Where the artifact goes: `ghcr.io` and `team/model`. */
interface Destination {
  readonly registry: string;
  readonly repository: string;
}

/**
 * Repositories of the destination's registry that probably hold a blob, since this store has seen an artifact with it there: packed
 * for it, pushed or pulled. Nothing is read before the first blob is found missing.
 */
export class MountCandidates {
  readonly #store: () => Promise<Store>;
  readonly #destination: Destination;
  #holders: Promise<ReadonlyMap<Digest, readonly string[]>> | undefined;

  constructor(store: () => Promise<Store>, destination: Destination) {
    this.#store = store;
    this.#destination = destination;
  }

  /** At most three, the newest first. */
  readonly of = async ({ digest }: Descriptor): Promise<readonly string[]> => {
    this.#holders ??= this.#read().catch((error: unknown) => {
      // a store that cannot be read is not what is being pushed
      if (isKitError(error)) return new Map<Digest, readonly string[]>();
      throw error;
    });
    return (await this.#holders).get(digest) ?? [];
  };

  async #read(): Promise<ReadonlyMap<Digest, readonly string[]>> {
    const holders = new Map<Digest, string[]>();
    const store = await this.#store();
    for (const { repository, manifest } of await this.#newestManifests(store)) {
      for (const { digest } of await readChildren(store, manifest)) {
        const found = holders.get(digest) ?? [];
        if (found.length < MAX_CANDIDATES && !found.includes(repository)) holders.set(digest, [...found, repository]);
      }
    }
    return holders;
  }

  async #newestManifests(store: Store): Promise<{ repository: string; manifest: Descriptor }[]> {
    const prefix = `${this.#destination.registry}/`;
    const own = prefix + this.#destination.repository;
    const entries = [...(await store.read()).repositories]
      .filter(([name]) => name.startsWith(prefix) && name !== own)
      .flatMap(([name, { manifests }]) =>
        manifests
          .filter(({ mediaType }) => isManifestType(mediaType))
          .slice(-MAX_PER_REPOSITORY)
          .map((manifest) => ({ repository: name.slice(prefix.length), manifest })),
      );
    const dated = await Promise.all(entries.map(async (entry) => ({ ...entry, time: await timeOf(store, entry.manifest) })));
    return dated.toSorted((a, b) => b.time - a.time).slice(0, MAX_MANIFESTS);
  }
}

/** When the store got the manifest, in milliseconds. */
async function timeOf({ blobs }: Store, { digest }: Descriptor): Promise<number> {
  return await stat(blobs.pathOf(digest)).then(
    ({ mtimeMs }) => mtimeMs,
    () => 0,
  );
}

async function readChildren({ blobs }: Store, manifest: Descriptor): Promise<readonly Descriptor[]> {
  try {
    return childrenOf(manifest, await fetchMetadata(blobs, manifest));
  } catch (error) {
    // missing or damaged: it names nothing then
    if (isKitError(error)) return [];
    throw error;
  }
}
