import { KitError } from '../errors.ts';
import type { CallOptions } from '../events.ts';
import { formatOf } from '../formats/registry.ts';
import type { Artifact } from '../formats/types.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { type Manifest, parseIndex, parseManifest } from '../oci/manifest.ts';
import { isIndexType, isManifestType } from '../oci/media-types.ts';
import { fetchMetadata } from '../targets/manifest-bytes.ts';
import type { ReadTarget } from '../targets/types.ts';

/** An artifact with everything but its layers, each byte checked against its digest. */
export interface LoadedArtifact extends Artifact {
  readonly descriptor: Descriptor;
  readonly manifest: Manifest;
  /** The config blob as it is. */
  readonly config: Buffer;
}

/** `name` goes into messages. @throws KitError REFERENCE_NOT_FOUND | DIGEST_MISMATCH | SIZE_MISMATCH | MANIFEST_INVALID */
export async function loadArtifact(target: ReadTarget, reference: string, name: string, call: CallOptions = {}): Promise<LoadedArtifact> {
  const descriptor = await resolveManifest(target, await target.resolve(reference, call), name, call);
  return await readArtifact(descriptor, name, async (blob) => await fetchMetadata(target, blob, call));
}

/** The artifact of a manifest. `read` gives the bytes of a blob, checked. @throws KitError as loadArtifact */
export async function readArtifact(
  descriptor: Descriptor,
  name: string,
  read: (blob: Descriptor) => Buffer | Promise<Buffer>,
): Promise<LoadedArtifact> {
  const manifest = parseManifest(await read(descriptor), name);
  const config = await read(manifest.config);
  return { ...formatOf(manifest).read(manifest, config, name), descriptor, manifest, config };
}

// an index that lists one manifest stands for it; any other needs a choice
async function resolveManifest(target: ReadTarget, descriptor: Descriptor, name: string, call: CallOptions): Promise<Descriptor> {
  if (isManifestType(descriptor.mediaType)) return descriptor;
  if (!isIndexType(descriptor.mediaType)) throw new KitError('UNSUPPORTED', `${name} is a \`${descriptor.mediaType}\`, not a manifest`);
  const { manifests } = parseIndex(await fetchMetadata(target, descriptor, call), name);
  const [only, ...others] = manifests.filter(({ mediaType }) => isManifestType(mediaType));
  if (only !== undefined && others.length === 0) return only;
  const choices = manifests.map(({ digest, artifactType, mediaType }) => `\n  ${digest} (${artifactType ?? mediaType})`);
  throw new KitError('UNSUPPORTED', `${name} is an index of ${manifests.length} artifacts:${choices.join('')}`, {
    hint: 'name one by its digest: REPOSITORY@DIGEST',
  });
}
