import type { BlobSource, ByteRange, Bytes } from '../blob-source.ts';
import type { CallOptions } from '../events.ts';
import type { Descriptor } from '../oci/descriptor.ts';

export interface FetchOptions extends CallOptions {
  readonly range?: ByteRange;
}

export interface ReferrersOptions extends CallOptions {
  /** Only referrers of this type. */
  readonly artifactType?: string | undefined;
}

export interface RegistryLimits {
  /** What people call the registry. */
  readonly service: string;
  readonly maxLayerBytes?: number | undefined;
  /** Minutes after which an upload is broken off. */
  readonly uploadMinutes?: number | undefined;
}

/** What a target may offer. Asked, never cast; decorators pass the record on. */
export interface Capabilities {
  /** Takes a blob whose digest is not known yet; returns its descriptor, and says by a `done` event whether it was there before. */
  readonly pushUnhashed?: (mediaType: string, source: BlobSource, options?: CallOptions) => Promise<Descriptor>;
  /** Makes a blob of another repository on the same registry available here without moving bytes. */
  readonly mount?: (blob: Descriptor, fromRepository: string, options?: CallOptions) => Promise<boolean>;
  /** What the registry behind it is known to refuse. */
  readonly limits?: RegistryLimits | undefined;
  /** All tags. */
  readonly tags?: (options?: CallOptions) => AsyncIterable<string>;
  /** Manifests that name `subject` as theirs: signatures, attestations, SBOMs. Listed is not verified. */
  readonly referrers?: (subject: Descriptor, options?: ReferrersOptions) => AsyncIterable<Descriptor>;
  /** Takes the tag away; the manifest stays. */
  readonly untag?: (tag: string, options?: CallOptions) => Promise<void>;
  /** Deletes a manifest and every tag on it. */
  readonly remove?: (manifest: Descriptor, options?: CallOptions) => Promise<void>;
  /** Keeps what is found or put here from being collected as garbage until it ends. To be had before the first blob. */
  readonly lease?: (options?: CallOptions) => Promise<AsyncDisposable>;
  /** The file that holds the blob, where there is one: lets a reader link or copy it. */
  readonly localPath?: (blob: Descriptor) => string | undefined;
  /** The same file, found to be right by its stamp or by hashing it now; undefined where it is missing or damaged. */
  readonly localFile?: (blob: Descriptor, options?: CallOptions) => Promise<string | undefined>;
  /**
   * Makes `to` a second name of that file, read-only under both; undefined, with nothing made, where that cannot be done.
   * What it returns is to be called when no name of the file moves any more: until then it counts as changed.
   */
  readonly link?: (blob: Descriptor, to: string, options?: CallOptions) => Promise<(() => Promise<void>) | undefined>;
}

/**
 * A content store with tags, read side. `fetch` does not verify: readers wrap it in `verified`,
 * so that bytes are hashed once, by whoever uses them.
 */
export interface ReadTarget {
  /** How messages name it: `ghcr.io/team/model`, `oci:dir`. */
  readonly name: string;
  readonly can: Capabilities;
  has(blob: Descriptor, options?: CallOptions): Promise<boolean>;
  /** @throws KitError BLOB_NOT_FOUND, for a manifest too: something named it */
  fetch(blob: Descriptor, options?: FetchOptions): Promise<Bytes>;
  /** `reference` is a tag or a digest. @throws KitError REFERENCE_NOT_FOUND */
  resolve(reference: string, options?: CallOptions): Promise<Descriptor>;
}

/** Manifests are pushed like blobs: the media type tells. */
export interface Target extends ReadTarget {
  /** Verifies what it takes. @throws KitError DIGEST_MISMATCH | SIZE_MISMATCH */
  push(blob: Descriptor, source: BlobSource, options?: CallOptions): Promise<void>;
  /** `reference` is a tag. The manifest must be there already. */
  tag(manifest: Descriptor, reference: string, options?: CallOptions): Promise<void>;
}
