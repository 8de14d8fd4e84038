import type { Descriptor } from './descriptor.ts';
import type { Index, Manifest } from './manifest.ts';

/**
 * How lists of referrers describe a manifest: its own artifactType (else its config's media type) and all its annotations
 * (distribution spec, "Listing Referrers" and "Pushing Manifests with Subject").
 */
export function describeReferrer({ mediaType, digest, size }: Descriptor, manifest: Manifest | Index): Descriptor {
  const own = manifest.artifactType === '' ? undefined : manifest.artifactType;
  const artifactType = own ?? ('config' in manifest ? manifest.config.mediaType : undefined);
  const { annotations } = manifest;
  return { mediaType, digest, size, ...(annotations && { annotations }), ...(artifactType !== undefined && { artifactType }) };
}
