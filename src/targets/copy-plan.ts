import { isKitError, KitError } from '../errors.ts';
import type { CallOptions } from '../events.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import { childrenOf } from '../oci/manifest.ts';
import { isIndexType, isManifestLike } from '../oci/media-types.ts';
import { fetchMetadata } from './manifest-bytes.ts';
import type { ReadTarget } from './types.ts';

/** Far beyond any real index; stops one that was made to exhaust memory. */
export const MAX_MANIFESTS = 10_000;
const MAX_MANIFEST_BYTES = 256 * 1024 * 1024;
const MAX_DEPTH = 16;

export interface PlannedManifest {
  readonly descriptor: Descriptor;
  /** Its content, verified. */
  readonly bytes: Uint8Array;
}

export interface PlannedTag {
  readonly descriptor: Descriptor;
  readonly tag: string;
}

export interface PlannedReferrer {
  readonly descriptor: Descriptor;
  readonly subject: Descriptor;
}

/** What a copy moves: known in full before the first blob is. Every manifest is read once, verified. */
export class CopyPlan {
  readonly src: ReadTarget;
  /** Configs and layers, each digest once, in the order of the manifests. */
  readonly blobs = new Map<Digest, Descriptor>();
  /** Children before their parents, each digest once. */
  readonly manifests = new Map<Digest, PlannedManifest>();
  /** Manifests that an index lists and the source lacks: an index need not lie beside all that it lists. */
  readonly absent = new Map<Digest, Descriptor>();
  /** Those of the manifests that came along for their subject, by their digest: see addReferrers. */
  readonly referrers = new Map<Digest, PlannedReferrer>();
  /** Tags that come along besides those that the caller puts on. */
  readonly tags: PlannedTag[] = [];
  readonly #visited = new Set<Digest>();
  #read = 0;

  constructor(src: ReadTarget) {
    this.src = src;
  }

  /** Bytes of all blobs and manifests. */
  get size(): number {
    const descriptors = [...this.blobs.values(), ...[...this.manifests.values()].map(({ descriptor }) => descriptor)];
    return descriptors.reduce((sum, { size }) => sum + size, 0);
  }

  /** Adds a manifest or index and all below it. @throws KitError UNSUPPORTED | MANIFEST_INVALID | LIMIT_EXCEEDED, or what the source throws */
  async add(root: Descriptor, options: CallOptions = {}): Promise<void> {
    if (!isManifestLike(root.mediaType)) {
      throw new KitError(
        'UNSUPPORTED',
        `${this.src.name}@${root.digest} is a \`${root.mediaType}\`, which is neither a manifest nor an index`,
      );
    }
    await this.#visit(root, root, 0, options);
  }

  async #visit(descriptor: Descriptor, root: Descriptor, depth: number, options: CallOptions, isListed = false): Promise<void> {
    if (this.#visited.has(descriptor.digest)) return;
    this.#read += descriptor.size;
    if (depth > MAX_DEPTH || this.#visited.size >= MAX_MANIFESTS || this.#read > MAX_MANIFEST_BYTES) {
      throw new KitError('LIMIT_EXCEEDED', `${root.digest}: too many manifests below it, or too deep`);
    }
    this.#visited.add(descriptor.digest);
    const bytes = await fetchMetadata(this.src, descriptor, { signal: options.signal }).catch((error: unknown) => {
      if (isListed && isKitError(error, 'BLOB_NOT_FOUND')) return undefined;
      throw error;
    });
    if (bytes === undefined) {
      this.absent.set(descriptor.digest, descriptor);
      return;
    }
    for (const child of childrenOf(descriptor, bytes)) {
      const isListed = isIndexType(descriptor.mediaType);
      if (isManifestLike(child.mediaType)) await this.#visit(child, root, depth + 1, options, isListed);
      else this.#addBlob(child, descriptor);
    }
    this.manifests.set(descriptor.digest, { descriptor, bytes });
  }

  #addBlob(blob: Descriptor, parent: Descriptor): void {
    const same = this.blobs.get(blob.digest);
    if (same !== undefined && same.size !== blob.size) {
      throw new KitError('MANIFEST_INVALID', `${parent.digest}: ${blob.digest} has ${blob.size} bytes here and ${same.size} elsewhere`);
    }
    if (same === undefined) this.blobs.set(blob.digest, blob);
  }
}
