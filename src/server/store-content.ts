import { bytesSource } from '../blob-source.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { type Digest, isDigest } from '../oci/digest.ts';
import { addManifest, addTag, findManifest, type RepositoryIndex } from '../targets/repository-index.ts';
import type { Store } from '../targets/store.ts';
import { canonicalName, repositoryOf } from '../targets/store-index.ts';
import type { ReferrersOptions } from '../targets/types.ts';
import { findBelowIndex, partOfIndex } from './below-index.ts';
import type { ServedContent, ServedRepository } from './content.ts';
import { referrersOf } from './referrers-of.ts';
import { unlessMissing } from './unless-missing.ts';

/** The store of this user, served. */
export function storeContent(store: Store): ServedContent {
  return {
    name: 'local storage',
    blobs: store.blobs,
    repositories: async () => [...(await store.read()).repositories.keys()],
    repository: (name) => new ServedStoreRepository(store, canonicalName(name)),
    manifests: async () => {
      const { repositories, others } = await store.read();
      return [...others, ...[...repositories.values()].flatMap(({ manifests }) => manifests)];
    },
    lease: async () => await store.lease(),
  };
}

class ServedStoreRepository implements ServedRepository {
  readonly #store: Store;
  readonly #name: string;

  constructor(store: Store, name: string) {
    this.#store = store;
    this.#name = name;
  }

  async find(reference: string): Promise<Descriptor | undefined> {
    const content = await this.#content();
    const found = findManifest(content, reference);
    if (found !== undefined || !isDigest(reference)) return found;
    return await findBelowIndex(this.#store.blobs, content.manifests, reference);
  }

  async tags(): Promise<readonly string[] | undefined> {
    const { manifests, tags } = await this.#content();
    return manifests.length === 0 ? undefined : [...tags.keys()];
  }

  referrers(subject: Digest, options: ReferrersOptions): AsyncIterable<Descriptor> {
    const { can } = this.#store.repository(this.#name);
    return referrersOf(can, subject, options);
  }

  async put(manifest: Descriptor, bytes: Uint8Array, tags: readonly string[]): Promise<void> {
    await this.#store.blobs.push(manifest, bytesSource(bytes));
    // each manifest that a client sends is listed, also one below an index: deleting the index must not take it along
    await this.#store.updateRepository(this.#name, (content) =>
      tags.reduce((tagged, tag) => addTag(tagged, manifest, tag), addManifest(content, manifest)),
    );
  }

  async untag(tag: string): Promise<boolean> {
    return await unlessMissing(this.#store.untag(this.#name, tag));
  }

  async remove(digest: Digest): Promise<boolean> {
    const { manifests } = await this.#content();
    if ((await findBelowIndex(this.#store.blobs, manifests, digest)) !== undefined) throw partOfIndex(digest);
    return await unlessMissing(this.#store.remove(this.#name, digest));
  }

  async #content(): Promise<RepositoryIndex> {
    return repositoryOf(await this.#store.read(), this.#name);
  }
}
