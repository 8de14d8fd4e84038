import { KitError } from '../errors.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import { childrenOf } from '../oci/manifest.ts';
import { isIndexType, isManifestLike } from '../oci/media-types.ts';
import type { BlobDirectory } from '../targets/blob-directory.ts';
import { fetchMetadata } from '../targets/manifest-bytes.ts';
import { DistributionError } from './distribution-error.ts';

/** The manifest `digest` below one of the indexes among `roots`, at any depth. An index that is missing or damaged holds nothing. */
export async function findBelowIndex(blobs: BlobDirectory, roots: readonly Descriptor[], digest: Digest): Promise<Descriptor | undefined> {
  const seen = new Set<Digest>();
  const open = roots.filter(({ mediaType }) => isIndexType(mediaType));
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (seen.has(next.digest)) continue;
    seen.add(next.digest);
    const children = (await readChildren(blobs, next)).filter(({ mediaType }) => isManifestLike(mediaType));
    const found = children.find((child) => child.digest === digest);
    if (found !== undefined) return found;
    open.push(...children.filter(({ mediaType }) => isIndexType(mediaType)));
  }
  return undefined;
}

async function readChildren(blobs: BlobDirectory, index: Descriptor): Promise<readonly Descriptor[]> {
  try {
    return childrenOf(index, await fetchMetadata(blobs, index));
  } catch (error) {
    if (error instanceof KitError) return [];
    throw error;
  }
}

/** Why a manifest cannot be deleted: it would come back by the index. */
export function partOfIndex(digest: Digest): DistributionError {
  return new DistributionError(405, 'UNSUPPORTED', `${digest} is part of an index: delete that first`);
}
