import type { Compression } from '../blobs/compress.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { MEDIA_TYPE } from '../oci/media-types.ts';
import { annotatedMode, annotatedPath } from './file-annotations.ts';
import type { ArtifactLayer, Format } from './types.ts';

const IMAGE_LAYER = /^application\/vnd\.(?:oci\.image\.layer\.v1\.tar|docker\.image\.rootfs\.diff\.tar)(?:[+.](gzip|zstd))?$/;
/** oras packs a directory as tar+gzip and marks it so. */
const UNPACK = 'io.deis.oras.content.unpack';
/** Without being told a type, oras gives any file that of an uncompressed layer; its title says what it is. */
const UNTYPED = 'application/vnd.oci.image.layer.v1.tar';
/** Content of Flux, charts of Helm: without a name an archive is its files. */
const ARCHIVE = /\.tar(?:\+(gzip|zstd))?$/;
const ARCHIVE_NAME = /\.(?:tar|tgz|tzst)(?:\.\w+)?$/i;
const IMAGE_CONFIGS: ReadonlySet<string> = new Set([MEDIA_TYPE.imageConfig, MEDIA_TYPE.dockerImageConfig]);

/** Any other artifact: image layers are archives, other layers are files where an annotation names them. */
export const generic: Format = {
  name: 'artifact',
  detect: () => true,
  read(manifest) {
    const isImage = IMAGE_CONFIGS.has(manifest.config.mediaType);
    return { format: 'artifact', kitfile: undefined, layers: manifest.layers.flatMap((layer) => toLayer(layer, isImage) ?? []) };
  },
};

function toLayer(descriptor: Descriptor, isImage: boolean): ArtifactLayer | undefined {
  const annotated = annotatedPath(descriptor);
  const common = { role: 'file', name: undefined, descriptor, diffId: undefined, mode: annotatedMode(descriptor) } as const;
  const isFile = !isImage && descriptor.mediaType === UNTYPED && annotated !== undefined && !ARCHIVE_NAME.test(annotated);
  const unnamed = annotated === undefined ? ARCHIVE.exec(descriptor.mediaType) : null;
  const image = isFile ? null : (IMAGE_LAYER.exec(descriptor.mediaType) ?? unnamed);
  if (image || descriptor.annotations?.[UNPACK] === 'true') {
    const compression = image ? ((image[1] ?? 'none') as Compression) : 'gzip';
    return { ...common, path: annotated ?? descriptor.digest, encoding: 'tar', compression, target: '' };
  }
  return annotated === undefined ? undefined : { ...common, path: annotated, encoding: 'raw', compression: 'none', target: annotated };
}
