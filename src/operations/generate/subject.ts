import { KitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import { GITOPS_LAYER, gitopsLayer } from '../../formats/gitops.ts';
import type { Digest } from '../../oci/digest.ts';
import { type Index, type Manifest, parseIndex, parseManifest } from '../../oci/manifest.ts';
import { isIndexType, MEDIA_TYPE } from '../../oci/media-types.ts';
import { formatReference, type Reference, repositoryName } from '../../oci/reference.ts';
import { fetchMetadata } from '../../targets/manifest-bytes.ts';
import type { Kit } from '../kit.ts';
import { examineArtifact, type ExaminedArtifact } from '../artifact/load-artifact.ts';
import { openSource } from '../artifact/open-location.ts';

/** What a manifest is made for: an artifact by its digest. */
export interface Subject {
  /** As the user wrote it. */
  readonly reference: string;
  /** `ghcr.io/team/model` */
  readonly repository: string;
  readonly digest: Digest;
  /** `ghcr.io/team/model@sha256:...` */
  readonly pinned: string;
  /** Undefined where the registry was not asked. */
  readonly examined: ExaminedArtifact | undefined;
}

/** What must be true of an artifact for a kind of manifest to work. */
export type Fit = (examined: ExaminedArtifact, name: string, call: CallOptions) => void;

/**
 * The artifact that a reference names by now. With `resolve: false` the registry is not asked, and nothing is known of the artifact.
 * @throws KitError USAGE | REFERENCE_INVALID | REFERENCE_NOT_FOUND | UNSUPPORTED, when it is not what is needed
 */
export async function findSubject(
  kit: Kit,
  reference: Reference,
  { resolve, fit }: { readonly resolve: boolean; readonly fit: Fit },
  call: CallOptions,
): Promise<Subject> {
  const name = formatReference(reference);
  if (reference.registry === undefined) {
    throw new KitError('REFERENCE_INVALID', `${name}: a cluster pulls from a registry, and the reference names none`, {
      hint: `write REGISTRY/${reference.repository || 'REPOSITORY'}:TAG`,
    });
  }
  if (reference.tags.length > 1) throw new KitError('USAGE', `${name}: one tag at a time`, { hint: 'run the command once for each' });
  const repository = repositoryName(reference);
  if (!resolve) {
    const { digest } = reference;
    if (digest === undefined) {
      throw new KitError('USAGE', `${name}: --no-resolve needs a digest`, { hint: `write ${repository}@sha256:...` });
    }
    return { reference: name, repository, digest, pinned: `${repository}@${digest}`, examined: undefined };
  }
  const source = await openSource(kit, { type: 'reference', reference }, 'remote', call);
  const descriptor = await source.target.resolve(source.reference, call);
  const { digest } = descriptor;
  // an index may stand for one model among the images that it lists: what is pinned is the index
  const bytes = await fetchMetadata(source.target, descriptor, call);
  const content = isIndexType(descriptor.mediaType) ? parseIndex(bytes, name) : parseManifest(bytes, name);
  const examined = { ...(await examineArtifact(source.target, digest, name, call)), content };
  fit(examined, name, call);
  return { reference: name, repository, digest, pinned: `${repository}@${digest}`, examined };
}

/** What `kit unpack` takes. */
export const fitsUnpack: Fit = ({ artifact, content, description }, name) => {
  if (artifact?.kitfile !== undefined) return;
  const isChoice = 'manifests' in content && content.artifactType === MEDIA_TYPE.modelIndex;
  throw new KitError('UNSUPPORTED', `${name} is no model that can be unpacked: ${description}`, {
    hint: isChoice
      ? `choose one of what it lists: \`--label KEY=VALUE\`; \`kit index info --remote ${name}\` shows the labels`
      : 'name a ModelKit or ModelPack; for a Modelcar use `kit generate kserve-modelcar`',
  });
};

/** A container image, or an index of images. */
export const fitsImage: Fit = ({ content, description }, name) => {
  if (isImage(content)) return;
  throw new KitError('UNSUPPORTED', `${name} is no container image: ${description}`, {
    hint: '`kit convert REF DEST --to modelcar` makes one of a model',
  });
};

/** An image, or an artifact of files as they are, which CRI-O mounts. */
export const fitsVolume: Fit = (examined, name, call) => {
  const { content, artifact, description } = examined;
  if (isImage(content) || artifact === undefined || !artifact.layers.some(({ encoding }) => encoding === 'raw')) {
    return fitsImage(examined, name, call);
  }
  call.onEvent?.({
    type: 'warning',
    code: 'NOT_AN_IMAGE',
    message: `${name} is no container image (${description}): CRI-O mounts its raw layers as files, containerd mounts nothing`,
  });
};

/** What Flux extracts: the first layer, tar+gzip. */
export const fitsFlux: Fit = ({ content }, name) => {
  const { compression, descriptor } = gitopsLayer(singleManifest(content, name), name);
  const isFirst = !('manifests' in content) && content.layers[0] === descriptor;
  if (compression === 'gzip' && isFirst) return;
  throw new KitError('UNSUPPORTED', `${name}: Flux extracts the first layer, which must be tar+gzip`, {
    hint: '`kit gitops push DIR REF` makes what Argo CD and Flux read',
  });
};

const ARGO_TYPES: readonly string[] = [
  GITOPS_LAYER,
  'application/vnd.oci.image.layer.v1.tar',
  'application/vnd.cncf.helm.chart.content.v1.tar+gzip',
];

/** What Argo CD extracts: exactly one archive, of a type on its list. */
export const fitsArgo: Fit = ({ content }, name, call) => {
  const { mediaType } = gitopsLayer(singleManifest(content, name), name).descriptor;
  if (ARGO_TYPES.includes(mediaType)) return;
  call.onEvent?.({
    type: 'warning',
    code: 'ARGO_LAYER_TYPE',
    message: `${name}: Argo CD takes layers of type ${mediaType} only where ARGOCD_REPO_SERVER_OCI_LAYER_MEDIA_TYPES names it`,
  });
};

/** Anything: a policy is about a repository. */
export const fitsAnything: Fit = () => {};

function singleManifest(content: Manifest | Index, name: string): Manifest {
  if (!('manifests' in content)) return content;
  throw new KitError('UNSUPPORTED', `${name} is an index, and a source of manifests is one artifact`, {
    hint: '`kit gitops push DIR REF` makes what Argo CD and Flux read',
  });
}

const DOCKER_CONFIG = 'application/vnd.docker.container.image.v1+json';

function isImage(content: Manifest | Index): boolean {
  if ('manifests' in content) return content.artifactType === undefined && content.manifests.some((child) => 'platform' in child);
  const { mediaType } = content.config;
  return content.artifactType === undefined && (mediaType === MEDIA_TYPE.imageConfig || mediaType === DOCKER_CONFIG);
}
