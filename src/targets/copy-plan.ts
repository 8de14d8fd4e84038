import { KitError } from '../errors.ts';
import type { CallOptions } from '../events.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import { childrenOf, type Index, type Manifest, parseIndex, parseManifest } from '../oci/manifest.ts';
import { isIndexType, isManifestLike } from '../oci/media-types.ts';
import { fetchMetadata } from './manifest-bytes.ts';
import type { ReadTarget } from './types.ts';

/** Far beyond any real index; stops one that was made to exhaust memory. */
const MAX_MANIFESTS = 10_000;
const MAX_MANIFEST_BYTES = 256 * 1024 * 1024;
const MAX_DEPTH = 16;

export interface CopyPlan {
  /** Configs and layers, each digest once, in the order of the manifests. */
  readonly blobs: readonly Descriptor[];
  /** Children before their parents, each digest once. */
  readonly manifests: readonly { readonly descriptor: Descriptor; readonly bytes: Uint8Array }[];
  /** False when the selection leaves something out, and with it the root. */
  readonly complete: boolean;
}

export interface PlanOptions extends CallOptions {
  readonly select?: ((child: Descriptor, parent: Manifest | Index) => boolean) | undefined;
}

/** Reads every manifest below `root` once, verified. @throws KitError MANIFEST_INVALID | LIMIT_EXCEEDED, or what `src` throws */
export async function planCopy(src: ReadTarget, root: Descriptor, options: PlanOptions): Promise<CopyPlan> {
  const blobs = new Map<Digest, Descriptor>();
  const manifests = new Map<Digest, { descriptor: Descriptor; bytes: Uint8Array }>();
  const visited = new Map<Digest, boolean>();
  let read = 0;

  async function visit(descriptor: Descriptor, depth: number): Promise<boolean> {
    const known = visited.get(descriptor.digest);
    if (known !== undefined) return known;
    read += descriptor.size;
    if (depth > MAX_DEPTH || visited.size >= MAX_MANIFESTS || read > MAX_MANIFEST_BYTES) {
      throw new KitError('LIMIT_EXCEEDED', `${root.digest}: too many manifests below it, or too deep`);
    }
    visited.set(descriptor.digest, true);
    const bytes = await fetchMetadata(src, descriptor, { signal: options.signal });
    const parent = options.select === undefined ? undefined : parse(descriptor, bytes);
    let complete = true;
    for (const child of childrenOf(descriptor, bytes)) {
      if (parent !== undefined && options.select?.(child, parent) === false) complete = false;
      else if (isManifestLike(child.mediaType)) complete = (await visit(child, depth + 1)) && complete;
      else addBlob(child, descriptor);
    }
    visited.set(descriptor.digest, complete);
    if (complete) manifests.set(descriptor.digest, { descriptor, bytes });
    return complete;
  }

  function addBlob(blob: Descriptor, parent: Descriptor): void {
    const same = blobs.get(blob.digest);
    if (same !== undefined && same.size !== blob.size) {
      throw new KitError('MANIFEST_INVALID', `${parent.digest}: ${blob.digest} has ${blob.size} bytes here and ${same.size} elsewhere`);
    }
    if (same === undefined) blobs.set(blob.digest, blob);
  }

  const complete = await visit(root, 0);
  return { blobs: [...blobs.values()], manifests: [...manifests.values()], complete };
}

function parse(descriptor: Descriptor, bytes: Uint8Array): Manifest | Index {
  return isIndexType(descriptor.mediaType) ? parseIndex(bytes, descriptor.digest) : parseManifest(bytes, descriptor.digest);
}
