import { isKitError } from '../errors.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import { childrenOf, parseIndex, parseManifest, sniffManifestType } from '../oci/manifest.ts';
import { isIndexType, isManifestLike } from '../oci/media-types.ts';
import type { BlobDirectory } from '../targets/blob-directory.ts';
import { DistributionError } from './distribution-error.ts';

interface Sent {
  readonly digest: Digest;
  readonly contentType: string | undefined;
}

interface CheckedManifest {
  readonly descriptor: Descriptor;
  readonly subject: Descriptor | undefined;
}

/** A manifest or index as it was sent. Whatever it is made of must be here already. @throws DistributionError */
export async function checkManifest(blobs: BlobDirectory, bytes: Uint8Array, { digest, contentType }: Sent): Promise<CheckedManifest> {
  const { descriptor, subject } = readManifest(bytes, digest, contentType?.split(';')[0]?.trim());
  for (const child of childrenOf(descriptor, bytes)) {
    if (isElsewhere(child)) continue;
    const size = await blobs.sizeOf(child.digest);
    if (size === undefined) throw new DistributionError(404, 'MANIFEST_BLOB_UNKNOWN', `${child.digest} is unknown to registry`);
    if (size !== child.size)
      throw new DistributionError(400, 'MANIFEST_INVALID', `${child.digest} has ${size} bytes, the manifest says ${child.size}`);
  }
  return { descriptor, subject };
}

function readManifest(bytes: Uint8Array, digest: Digest, contentType: string | undefined): CheckedManifest {
  try {
    const written = sniffManifestType(bytes, digest);
    // a manifest may leave its type to the header
    const mediaType = contentType !== undefined && isManifestLike(contentType) ? contentType : written;
    if (!isManifestLike(mediaType)) throw invalid(`this registry does not know manifests of type ${mediaType}`);
    const parsed = isIndexType(mediaType) ? parseIndex(bytes, digest) : parseManifest(bytes, digest);
    if (parsed.mediaType !== undefined && parsed.mediaType !== mediaType)
      throw invalid(`the manifest is of type ${parsed.mediaType}, the header says ${mediaType}`);
    return { descriptor: { mediaType, digest, size: bytes.byteLength }, subject: parsed.subject };
  } catch (error) {
    if (!isKitError(error, 'MANIFEST_INVALID')) throw error;
    throw invalid(error.message);
  }
}

/** Layers that are fetched from where their descriptor says, not from registries (image spec, "Non-Distributable Layers"). */
function isElsewhere({ mediaType }: Descriptor): boolean {
  return mediaType.startsWith('application/vnd.oci.image.layer.nondistributable.') || mediaType.includes('.rootfs.foreign.');
}

function invalid(why: string): DistributionError {
  return new DistributionError(400, 'MANIFEST_INVALID', why);
}
