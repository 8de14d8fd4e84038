import { type BlobSource, type Bytes, bytesSource } from '../blob-source.ts';
import { readVerified } from '../blobs/verified.ts';
import { KitError } from '../errors.ts';
import type { CallOptions } from '../events.ts';
import { describe, type Descriptor } from '../oci/descriptor.ts';
import { type Digest, isDigest } from '../oci/digest.ts';
import { isManifestLike } from '../oci/media-types.ts';
import { referrersTag } from '../oci/referrers-tag.ts';
import { localReferrers } from './local-referrers.ts';
import type { Capabilities, FetchOptions, Target } from './types.ts';

/** Larger content belongs on disk. */
const MAX_BLOB_BYTES = 256 * 1024 * 1024;

/** A target in memory, for small artifacts: signatures, SBOMs, tests. */
export class MemoryTarget implements Target {
  readonly name: string;
  readonly can: Capabilities;
  readonly #blobs = new Map<Digest, Uint8Array>();
  readonly #manifests = new Map<Digest, Descriptor>();
  readonly #tags = new Map<string, Descriptor>();

  constructor(name = 'memory') {
    this.name = name;
    this.can = {
      pushUnhashed: async (mediaType, source, options) => await this.#pushUnhashed(mediaType, source, options),
      tags: () => this.#listTags(),
      referrers: (subject, options) => this.#referrers(subject, options),
      untag: async (tag) => {
        if (!this.#tags.delete(tag)) throw this.#notFound(tag);
        await Promise.resolve();
      },
      remove: async (manifest) => {
        await this.#remove(manifest);
      },
    };
  }

  async has(blob: Descriptor): Promise<boolean> {
    return await Promise.resolve(this.#blobs.get(blob.digest)?.byteLength === blob.size);
  }

  async fetch(blob: Descriptor, options: FetchOptions = {}): Promise<Bytes> {
    const bytes = this.#blobs.get(blob.digest);
    if (bytes === undefined) {
      throw new KitError('BLOB_NOT_FOUND', `${this.name} has no ${blob.digest}`);
    }
    if (bytes.byteLength !== blob.size) {
      throw new KitError('SIZE_MISMATCH', `${blob.digest}: it has ${bytes.byteLength} bytes where its descriptor says ${blob.size}`);
    }
    // a copy: the chunk belongs to the receiver
    return await Promise.resolve(bytesSource(Buffer.from(bytes)).open(options.range));
  }

  async resolve(reference: string): Promise<Descriptor> {
    const found = isDigest(reference) ? this.#manifests.get(reference) : this.#tags.get(reference);
    if (found === undefined) throw this.#notFound(reference);
    return await Promise.resolve(found);
  }

  async push(blob: Descriptor, source: BlobSource, options: CallOptions = {}): Promise<void> {
    if (await this.has(blob)) return this.#list(blob);
    const bytes = await readVerified(source.open(undefined, options.signal), blob, MAX_BLOB_BYTES);
    options.signal?.throwIfAborted();
    this.#blobs.set(blob.digest, bytes);
    this.#list(blob);
  }

  async tag(manifest: Descriptor, reference: string): Promise<void> {
    if (!this.#manifests.has(manifest.digest)) throw this.#notFound(manifest.digest);
    await Promise.resolve(this.#tags.set(reference, manifest));
  }

  async #pushUnhashed(mediaType: string, source: BlobSource, options: CallOptions = {}): Promise<Descriptor> {
    const chunks: Uint8Array[] = [];
    let size = 0;
    for await (const chunk of source.open(undefined, options.signal)) {
      size += chunk.byteLength;
      if (size > MAX_BLOB_BYTES) throw new KitError('LIMIT_EXCEEDED', `${this.name} takes blobs of up to ${MAX_BLOB_BYTES} bytes`);
      chunks.push(chunk);
    }
    const bytes = Buffer.concat(chunks);
    const blob = describe(mediaType, bytes);
    options.onEvent?.({ type: 'done', id: blob.digest, outcome: this.#blobs.has(blob.digest) ? 'exists' : 'copied' });
    this.#blobs.set(blob.digest, bytes);
    this.#list(blob);
    return blob;
  }

  #list(blob: Descriptor): void {
    if (isManifestLike(blob.mediaType)) this.#manifests.set(blob.digest, blob);
  }

  async *#listTags(): AsyncGenerator<string> {
    yield* await Promise.resolve([...this.#tags.keys()]);
  }

  #referrers(subject: Descriptor, options?: CallOptions): AsyncIterable<Descriptor> {
    const fallback = this.#tags.get(referrersTag(subject.digest));
    const listed = { manifests: this.#manifests.values(), fallbacks: fallback === undefined ? [] : [fallback] };
    return localReferrers(this, listed, subject.digest, options);
  }

  async #remove(manifest: Descriptor): Promise<void> {
    if (!this.#manifests.delete(manifest.digest)) throw this.#notFound(manifest.digest);
    this.#blobs.delete(manifest.digest);
    for (const [tag, { digest }] of this.#tags) if (digest === manifest.digest) this.#tags.delete(tag);
    await Promise.resolve();
  }

  #notFound(reference: string): KitError {
    return new KitError('REFERENCE_NOT_FOUND', `${this.name} has no \`${reference}\``);
  }
}
