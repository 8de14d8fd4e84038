export const MEDIA_TYPE = {
  imageManifest: 'application/vnd.oci.image.manifest.v1+json',
  imageIndex: 'application/vnd.oci.image.index.v1+json',
  imageConfig: 'application/vnd.oci.image.config.v1+json',
  dockerImageConfig: 'application/vnd.docker.container.image.v1+json',
  dockerManifest: 'application/vnd.docker.distribution.manifest.v2+json',
  dockerManifestList: 'application/vnd.docker.distribution.manifest.list.v2+json',
  emptyJson: 'application/vnd.oci.empty.v1+json',
  /** Artifact type of an image index whose entries have labels (KitOps 1.17). */
  modelIndex: 'application/vnd.kitops.modelkit.index.v1+json',
} as const;

export const ANNOTATION = {
  refName: 'org.opencontainers.image.ref.name',
  created: 'org.opencontainers.image.created',
  title: 'org.opencontainers.image.title',
  source: 'org.opencontainers.image.source',
  revision: 'org.opencontainers.image.revision',
} as const;

const MANIFESTS: ReadonlySet<string> = new Set([MEDIA_TYPE.imageManifest, MEDIA_TYPE.dockerManifest]);
const INDEXES: ReadonlySet<string> = new Set([MEDIA_TYPE.imageIndex, MEDIA_TYPE.dockerManifestList]);

/** A manifest with config and layers (not an index). */
export function isManifestType(mediaType: string): boolean {
  return MANIFESTS.has(mediaType);
}

export function isIndexType(mediaType: string): boolean {
  return INDEXES.has(mediaType);
}

/** Manifests and indexes live under /manifests/ in a registry, everything else under /blobs/. */
export function isManifestLike(mediaType: string): boolean {
  return isManifestType(mediaType) || isIndexType(mediaType);
}

/** Manifests and configs beyond this are refused: the distribution spec asks registries to take 4 MiB. */
export const MAX_METADATA_BYTES = 4 * 1024 * 1024;
