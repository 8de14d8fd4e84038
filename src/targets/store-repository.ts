import { type BlobSource, type Bytes, bytesSource } from '../blob-source.ts';
import type { CallOptions } from '../events.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { isDigest } from '../oci/digest.ts';
import { childrenOf } from '../oci/manifest.ts';
import { isIndexType, isManifestLike } from '../oci/media-types.ts';
import { referrersTag } from '../oci/referrers-tag.ts';
import { coveredBy, localReferrers } from './local-referrers.ts';
import { fetchMetadata } from './manifest-bytes.ts';
import { addManifest, findManifest, notInStore, removeManifests, type RepositoryIndex, tagsOn } from './repository-index.ts';
import type { Store } from './store.ts';
import { canonicalName, repositoryOf, type StoreIndex } from './store-index.ts';
import type { Capabilities, FetchOptions, Target } from './types.ts';

/** One repository of the store. Blobs are shared by all of them; manifests belong to those that list them. */
export class StoreRepository implements Target {
  readonly name: string;
  readonly can: Capabilities & Required<Pick<Capabilities, 'lease'>>;
  readonly #store: Store;
  readonly #anywhere: boolean;
  #leases = 0;

  constructor(store: Store, name: string) {
    this.#store = store;
    this.#anywhere = name === '';
    this.name = canonicalName(name);
    this.can = {
      pushUnhashed: async (mediaType, source, options) => await this.#pushUnhashed(mediaType, source, options),
      tags: () => this.#tags(),
      referrers: (subject, options) => this.#referrers(subject, options),
      untag: async (tag, options) => {
        await store.untag(this.name, tag, options);
      },
      remove: async (manifest, options) => {
        await store.remove(this.name, manifest.digest, options);
      },
      localPath: (blob) => store.blobs.localPath(blob),
      localFile: async (blob, options) => await store.blobs.localFile(blob, options),
      link: async (blob, to, options) => await store.blobs.link(blob, to, options),
      lease: async (options) => await this.#lease(options),
    };
  }

  async has(blob: Descriptor, options: CallOptions = {}): Promise<boolean> {
    // a manifest counts when this repository lists it, so that pushing it lists it
    if (isManifestLike(blob.mediaType) && findManifest(await this.#content(), blob.digest) === undefined) return false;
    return await this.#store.blobs.has(blob, options);
  }

  /** Manifests are verified, other blobs are not. */
  async fetch(blob: Descriptor, options: FetchOptions = {}): Promise<Bytes> {
    if (!isManifestLike(blob.mediaType)) return await this.#store.blobs.fetch(blob, options);
    return bytesSource(await fetchMetadata(this.#store.blobs, blob, { signal: options.signal })).open(options.range);
  }

  async resolve(reference: string, options: CallOptions = {}): Promise<Descriptor> {
    const index = await this.#store.read();
    const content = repositoryOf(index, this.name);
    const found =
      findManifest(content, reference) ?? (isDigest(reference) ? await this.#elsewhere(index, content, reference, options) : undefined);
    if (found === undefined) throw notInStore(this.name, content, reference);
    return found;
  }

  async push(blob: Descriptor, source: BlobSource, options: CallOptions = {}): Promise<void> {
    if (this.#leases === 0) await this.#store.beginAdding(this.name, options);
    await this.#store.blobs.push(blob, source, options);
    await this.#list(blob, options);
  }

  async tag(manifest: Descriptor, reference: string, options: CallOptions = {}): Promise<void> {
    await this.#store.tag(this.name, manifest, reference, options);
  }

  async #pushUnhashed(mediaType: string, source: BlobSource, options: CallOptions = {}): Promise<Descriptor> {
    if (this.#leases === 0) await this.#store.beginAdding(this.name, options);
    const blob = await this.#store.blobs.pushUnhashed(mediaType, source, options);
    await this.#list(blob, options);
    return blob;
  }

  async #content(): Promise<RepositoryIndex> {
    return repositoryOf(await this.#store.read(), this.name);
  }

  async *#tags(): AsyncGenerator<string> {
    yield* (await this.#content()).tags.keys();
  }

  async *#referrers({ digest }: Descriptor, options?: CallOptions): AsyncGenerator<Descriptor> {
    const index = await this.#store.read();
    const contents = this.#anywhere ? [...index.repositories.values()] : [repositoryOf(index, this.name)];
    const manifests = [...contents.flatMap((content) => content.manifests), ...(this.#anywhere ? index.others : [])];
    const fallbacks = contents.map((content) => content.tags.get(referrersTag(digest))).filter((found) => found !== undefined);
    yield* localReferrers(this, { manifests, fallbacks }, digest, options);
  }

  async #list(blob: Descriptor, options: CallOptions): Promise<void> {
    if (!isManifestLike(blob.mediaType)) return;
    const covered = await coveredBy(this.#store.blobs, blob, options);
    const change = (content: RepositoryIndex): RepositoryIndex => {
      const folded = covered.map(({ digest }) => digest).filter((digest) => tagsOn(content, digest).length === 0);
      return addManifest(folded.length === 0 ? content : removeManifests(content, new Set(folded)), blob);
    };
    await this.#store.updateRepository(this.name, change, options);
    await this.#store.endAdding(this.name);
  }

  async #lease(options: CallOptions = {}): Promise<AsyncDisposable> {
    const lease = await this.#store.lease(options);
    this.#leases += 1;
    return {
      [Symbol.asyncDispose]: async () => {
        this.#leases -= 1;
        await lease[Symbol.asyncDispose]();
      },
    };
  }

  /** A digest also names a manifest below an index of this repository; without a repository, any manifest of the store. */
  async #elsewhere(index: StoreIndex, content: RepositoryIndex, digest: string, options: CallOptions): Promise<Descriptor | undefined> {
    const contents = this.#anywhere ? [...index.repositories.values()] : [content];
    const listed = [...contents.flatMap(({ manifests }) => manifests), ...(this.#anywhere ? index.others : [])];
    const found = listed.find((manifest) => manifest.digest === digest);
    if (found !== undefined) return found;
    for (const parent of listed.filter(({ mediaType }) => isIndexType(mediaType))) {
      const children = childrenOf(parent, await fetchMetadata(this.#store.blobs, parent, options));
      const child = children.find((candidate) => candidate.digest === digest && isManifestLike(candidate.mediaType));
      // an index may be here without all that it names
      if (child !== undefined && this.#store.blobs.localPath(child) !== undefined) return child;
    }
    return undefined;
  }
}
