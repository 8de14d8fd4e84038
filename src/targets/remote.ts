import { digestOfSource } from '../blobs/digest-source.ts';
import type { BlobSource, Bytes } from '../blob-source.ts';
import { readVerified } from '../blobs/verified.ts';
import { isKitError, KitError } from '../errors.ts';
import type { CallOptions } from '../events.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import { isManifestLike, MAX_METADATA_BYTES } from '../oci/media-types.ts';
import type { RegistryClient, RepositoryClient } from '../registry/client.ts';
import type { Capabilities, FetchOptions, Target } from './types.ts';

/** Manifests pushed last, so that tagging them does not fetch them again. */
const REMEMBERED_MANIFESTS = 16;

/** Up to this size reading twice is nothing, and a blob that is there already need not be sent. */
const HASH_FIRST_BYTES = 8 * 1024 * 1024;
/** Refused mounts in a row after which no more are tried: each costs two requests. */
const MAX_MOUNT_REFUSALS = 6;

/** A repository of a registry. Blobs are verified by the registry, manifests also here. */
export class RemoteRepository implements Target {
  readonly name: string;
  readonly can: Capabilities & Required<Pick<Capabilities, 'pushUnhashed' | 'mount'>>;
  readonly #repository: RepositoryClient;
  readonly #pushed = new Map<Digest, Uint8Array>();
  #takesStreams = true;
  #mountRefusals = 0;

  constructor(repository: RepositoryClient) {
    this.#repository = repository;
    this.name = repository.name;
    this.can = {
      pushUnhashed: (mediaType, source, options) => this.#pushUnhashed(mediaType, source, options),
      mount: (blob, from, options) => this.#mount(blob, from, options),
      limits: repository.rules,
      tags: (options) => repository.tags(options),
      referrers: ({ digest }, options) => repository.referrers(digest, options),
      untag: (tag, options) => repository.deleteTag(tag, options),
      remove: (manifest, options) => repository.deleteManifest(manifest.digest, options),
    };
  }

  async has(blob: Descriptor, options?: CallOptions): Promise<boolean> {
    return isManifestLike(blob.mediaType) ? this.#repository.hasManifest(blob.digest, options) : this.#repository.hasBlob(blob, options);
  }

  async fetch(blob: Descriptor, options: FetchOptions = {}): Promise<Bytes> {
    const { range, ...call } = options;
    if (!isManifestLike(blob.mediaType)) return this.#repository.fetchBlob(blob, range, call);
    const { bytes } = await this.#repository.fetchManifest(blob.digest, call).catch((error: unknown) => {
      if (!isKitError(error, 'REFERENCE_NOT_FOUND')) throw error;
      // something named it, so it is not a matter of spelling
      throw new KitError('BLOB_NOT_FOUND', error.message, { cause: error, hint: 'the registry lost it; push the artifact again' });
    });
    return once(range === undefined ? bytes : bytes.subarray(range.start, range.end));
  }

  async resolve(reference: string, options?: CallOptions): Promise<Descriptor> {
    return this.#repository.resolveManifest(reference, options);
  }

  async push(blob: Descriptor, source: BlobSource, options: CallOptions = {}): Promise<void> {
    if (!isManifestLike(blob.mediaType)) return this.#repository.uploadBlob(blob, source, options);
    const bytes = await readVerified(source.open(undefined, options.signal), blob, MAX_METADATA_BYTES);
    await this.#repository.pushManifest(blob.digest, { mediaType: blob.mediaType, bytes }, options);
    this.#remember(blob.digest, bytes);
  }

  async tag(manifest: Descriptor, reference: string, options?: CallOptions): Promise<void> {
    const pushed = this.#pushed.get(manifest.digest);
    // what was there before is often under this tag already
    if (pushed === undefined && (await this.#isTagged(manifest.digest, reference, options))) return;
    const bytes = pushed ?? (await this.#repository.fetchManifest(manifest.digest, options)).bytes;
    await this.#repository.tagManifest(reference, { mediaType: manifest.mediaType, bytes }, options);
  }

  async #isTagged(digest: Digest, tag: string, options?: CallOptions): Promise<boolean> {
    try {
      return (await this.#repository.resolveManifest(tag, options)).digest === digest;
    } catch (error) {
      options?.signal?.throwIfAborted();
      // missing, or damaged: it is to be replaced
      if (isKitError(error)) return false;
      throw error;
    }
  }

  /** In one pass where that gains something and the registry takes it, else hashed first. */
  async #pushUnhashed(mediaType: string, source: BlobSource, options: CallOptions = {}): Promise<Descriptor> {
    const isSmall = source.size !== undefined && source.size <= HASH_FIRST_BYTES;
    if (this.#takesStreams && !isSmall) {
      const blob = await this.#repository.uploadUnhashed(mediaType, source, options);
      if (blob !== undefined) {
        options.onEvent?.({ type: 'done', id: blob.digest, outcome: 'copied' });
        return blob;
      }
      this.#takesStreams = false;
    }
    const blob = { mediaType, ...(await digestOfSource(source, options.signal)) };
    const exists = await this.#repository.hasBlob(blob, options);
    if (!exists) await this.#repository.uploadBlob(blob, { size: blob.size, open: (...range) => source.open(...range) }, options);
    options.onEvent?.({ type: 'done', id: blob.digest, outcome: exists ? 'exists' : 'copied' });
    return blob;
  }

  /** Only saves bytes: whatever goes wrong, there is still the upload. */
  async #mount(blob: Descriptor, from: string, options: CallOptions = {}): Promise<boolean> {
    if (this.#mountRefusals >= MAX_MOUNT_REFUSALS) return false;
    try {
      const mounted = await this.#repository.mountBlob(blob, from, options);
      this.#mountRefusals = mounted ? 0 : this.#mountRefusals + 1;
      return mounted;
    } catch (error) {
      options.signal?.throwIfAborted();
      if (!isKitError(error)) throw error;
      this.#mountRefusals += 1;
      return false;
    }
  }

  #remember(digest: Digest, bytes: Uint8Array): void {
    this.#pushed.set(digest, bytes);
    const oldest = this.#pushed.keys().next().value;
    if (this.#pushed.size > REMEMBERED_MANIFESTS && oldest !== undefined) this.#pushed.delete(oldest);
  }
}

/** The repository `registry/repository` as a target. @throws KitError REFERENCE_INVALID */
export function remoteRepository(client: RegistryClient, registry: string, repository: string): RemoteRepository {
  return new RemoteRepository(client.repository(registry, repository));
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  if (bytes.byteLength > 0) yield bytes;
}
