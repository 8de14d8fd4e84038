import { isKitError, KitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import { describeIndex, describeManifest } from '../../formats/describe.ts';
import { describeVariants, parseModelIndex } from '../../formats/model-index.ts';
import { formatOf, modelTypeOf, oneOfSameSource } from '../../formats/registry.ts';
import type { Artifact } from '../../formats/types.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import { type Index, type Manifest, parseIndex, parseManifest } from '../../oci/manifest.ts';
import { isIndexType, isManifestType, MEDIA_TYPE } from '../../oci/media-types.ts';
import { fetchMetadata } from '../../targets/manifest-bytes.ts';
import type { ReadTarget } from '../../targets/types.ts';

/** An artifact with everything but its layers, each byte checked against its digest. */
export interface LoadedArtifact extends Artifact {
  readonly descriptor: Descriptor;
  readonly manifest: Manifest;
  /** The config blob as it is. */
  readonly config: Buffer;
}

/** `name` goes into messages. @throws KitError REFERENCE_NOT_FOUND | DIGEST_MISMATCH | SIZE_MISMATCH | MANIFEST_INVALID | UNSUPPORTED */
export async function loadArtifact(target: ReadTarget, reference: string, name: string, call: CallOptions = {}): Promise<LoadedArtifact> {
  const read: ReadBlob = async (blob) => await fetchMetadata(target, blob, call);
  return await readArtifact(await resolveManifest(await target.resolve(reference, call), name, read), name, read);
}

/** The bytes of a blob, checked. */
type ReadBlob = (blob: Descriptor) => Buffer | Promise<Buffer>;

/** The artifact of a manifest. @throws KitError as loadArtifact */
export async function readArtifact(descriptor: Descriptor, name: string, read: ReadBlob): Promise<LoadedArtifact> {
  const manifest = parseManifest(await read(descriptor), name);
  const config = await read(manifest.config);
  return { ...formatOf(manifest).read(manifest, config, name), descriptor, manifest, config };
}

/** What is known of anything that has a manifest or is an index. */
export interface ExaminedArtifact {
  readonly descriptor: Descriptor;
  readonly description: string;
  /** What is read of it; undefined for an index, and for what no format can read. */
  readonly artifact: LoadedArtifact | undefined;
  /** Why its format cannot read it. */
  readonly problem: string | undefined;
  readonly content: Manifest | Index;
}

/** Looks at whatever the reference names. @throws KitError as loadArtifact, but not for a kind of artifact that is not known */
export async function examineArtifact(
  target: ReadTarget,
  reference: string,
  name: string,
  call: CallOptions = {},
): Promise<ExaminedArtifact> {
  const read: ReadBlob = async (blob) => await fetchMetadata(target, blob, call);
  const resolved = await target.resolve(reference, call);
  const descriptor = await resolveManifest(resolved, name, read).catch((error: unknown) => {
    if (isKitError(error, 'UNSUPPORTED') && isIndexType(resolved.mediaType)) return resolved;
    throw error;
  });
  if (isIndexType(descriptor.mediaType)) {
    const index = parseIndex(await read(descriptor), name);
    return { descriptor, description: describeIndex(index), artifact: undefined, problem: undefined, content: index };
  }
  const manifest = parseManifest(await read(descriptor), name);
  const config = await read(manifest.config);
  const format = formatOf(manifest);
  const common = { descriptor, description: describeManifest(manifest, format.name, config), content: manifest };
  try {
    return { ...common, artifact: { ...format.read(manifest, config, name), descriptor, manifest, config }, problem: undefined };
  } catch (error) {
    if (!isKitError(error, 'UNSUPPORTED')) throw error;
    return { ...common, artifact: undefined, problem: error.message };
  }
}

/** An index that lists one manifest stands for it, and so does one whose other manifests are no models; any other needs a choice. */
export function onlyArtifact({ artifactType, manifests }: Index): Descriptor | undefined {
  const children = manifests.filter(({ mediaType }) => isManifestType(mediaType));
  const same = oneOfSameSource(children);
  if (same !== undefined) return same;
  // in an index of ModelKits an entry that does not say that it is a model is one all the same
  const isMixed = children.length > 1 && artifactType !== MEDIA_TYPE.modelIndex;
  const [only, ...others] = isMixed ? children.filter((child) => modelTypeOf(child) !== undefined) : children;
  return others.length === 0 ? only : undefined;
}

async function resolveManifest(descriptor: Descriptor, name: string, read: ReadBlob): Promise<Descriptor> {
  if (isManifestType(descriptor.mediaType)) return descriptor;
  if (!isIndexType(descriptor.mediaType)) throw new KitError('UNSUPPORTED', `${name} is a \`${descriptor.mediaType}\`, not a manifest`);
  const bytes = await read(descriptor);
  const only = onlyArtifact(parseIndex(bytes, name));
  if (only !== undefined) return only;
  const { variants } = parseModelIndex(bytes, name);
  if (variants.length === 0) throw new KitError('UNSUPPORTED', `${name} is an index that lists no artifact`);
  throw new KitError('UNSUPPORTED', `${name} is an index of ${variants.length} artifacts:${describeVariants(variants)}`, {
    hint: 'choose one: `--label KEY=VALUE`, where the command takes it, or name it by its digest: REPOSITORY@DIGEST',
  });
}
