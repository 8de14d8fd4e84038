import type { Compression } from '../blobs/compress.ts';
import { KitError } from '../errors.ts';
import type { Annotations, Descriptor } from '../oci/descriptor.ts';
import type { Manifest } from '../oci/manifest.ts';
import { ANNOTATION, MEDIA_TYPE } from '../oci/media-types.ts';
import type { Blob } from './types.ts';
import { createdAnnotation, madeBlob, writeManifest } from './write-manifest.ts';

/** The one layer: on Argo CD's list by default, and tar+gzip as Flux wants its first layer. */
export const GITOPS_LAYER = 'application/vnd.oci.image.layer.v1.tar+gzip';
const ARTIFACT_TYPE = 'application/vnd.cncf.flux.config.v1+json';
const SOURCE = 'org.opencontainers.image.source';
const REVISION = 'org.opencontainers.image.revision';
/** oras packs a directory as tar+gzip and marks it so, whatever its type. */
const UNPACK = 'io.deis.oras.content.unpack';

/** What holds manifests for Argo CD or Flux: of OCI and Docker images, `flux push artifact`, Helm charts. */
const CONTENT = [
  /^application\/vnd\.oci\.image\.layer\.v1\.tar(\+gzip)?$/,
  /^application\/vnd\.docker\.image\.rootfs\.diff\.tar(\.gzip)$/,
  /^application\/vnd\.cncf\.flux\.content\.v1\.tar(\+gzip)$/,
  /^application\/vnd\.cncf\.helm\.chart\.content\.v1\.tar(\+gzip)$/,
] as const;

/** Where the manifests come from, as Flux and Argo CD show it. */
export interface GitopsOrigin {
  /** URL of the repository. */
  readonly source?: string | undefined;
  /** `BRANCH@sha1:COMMIT`, as Flux writes revisions. */
  readonly revision?: string | undefined;
}

export interface GitopsOptions extends GitopsOrigin {
  /** RFC 3339; nothing in the artifact tells the time unless it is given. */
  readonly created?: string | undefined;
}

/** The artifact around a layer that Argo CD (3.1 and later) and Flux (OCIRepository v1) both take as a source. */
export function assembleGitops(layer: Descriptor, options: GitopsOptions): { readonly config: Blob; readonly manifest: Uint8Array } {
  const config = madeBlob(MEDIA_TYPE.emptyJson, '{}');
  // the image spec's empty descriptor carries its content
  const descriptor = { ...config.descriptor, data: Buffer.from(config.bytes).toString('base64') };
  const titled = { ...layer, annotations: { [ANNOTATION.title]: 'manifests.tar.gz' } };
  const { source, revision } = options;
  const annotations = {
    ...createdAnnotation(options.created),
    ...(source !== undefined && { [SOURCE]: source }),
    ...(revision !== undefined && { [REVISION]: revision }),
  };
  return { config, manifest: writeManifest(ARTIFACT_TYPE, descriptor, [{ descriptor: titled }], annotations) };
}

export interface GitopsLayer {
  readonly descriptor: Descriptor;
  readonly compression: Extract<Compression, 'none' | 'gzip'>;
}

/**
 * The layer that holds the manifests, by Argo CD's rule: exactly one archive; what is no archive is passed over.
 * @throws KitError UNSUPPORTED, with `name` in the message
 */
export function gitopsLayer(manifest: Manifest, name: string): GitopsLayer {
  const archives = manifest.layers.filter(isArchive);
  const [layer, ...others] = archives.flatMap((descriptor) => contentOf(descriptor) ?? []);
  if (layer !== undefined && others.length === 0 && archives.length === 1) return layer;
  const types = manifest.layers.map(({ mediaType }) => `\n  ${mediaType}`).join('');
  const why = archives.length > 1 ? `has ${archives.length} archives, and GitOps tools take one` : 'holds no archive of manifests';
  throw new KitError('UNSUPPORTED', `${name} ${why}; its layers are:${types || ' none'}`, {
    hint: '`kit gitops push DIR REF` makes what Argo CD and Flux read; a model is unpacked with `kit unpack`',
  });
}

/** The origin that an artifact names: not checked. */
export function gitopsOrigin(annotations: Annotations = {}): GitopsOrigin {
  return { source: annotations[SOURCE], revision: annotations[REVISION] };
}

// Argo CD counts every layer whose type ends so
function isArchive({ mediaType, annotations }: Descriptor): boolean {
  return /tar(?:[+.]gzip)?$/.test(mediaType) || annotations?.[UNPACK] === 'true';
}

function contentOf(descriptor: Descriptor): GitopsLayer | undefined {
  const { mediaType, annotations } = descriptor;
  for (const type of CONTENT) {
    const match = type.exec(mediaType);
    if (match !== null) return { descriptor, compression: match[1] === undefined ? 'none' : 'gzip' };
  }
  return annotations?.[UNPACK] === 'true' ? { descriptor, compression: 'gzip' } : undefined;
}
