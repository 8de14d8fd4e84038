import * as z from 'zod';
import { cleanLayerPath } from '../kitfile/layer-path.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import { MEDIA_TYPE } from '../oci/media-types.ts';
import type { Compression } from '../blobs/compress.ts';
import { carriedKitfile, matchEntries } from './carried-kitfile.ts';
import { deriveKitfile } from './derived-kitfile.ts';
import { DEFAULT_MODE, FILEPATH } from './file-annotations.ts';
import { roleOfFile } from './file-role.ts';
import { diffIdsOf } from './layer-digests.ts';
import { parseJson } from './parse-json.ts';
import type { ArtifactLayer, Format } from './types.ts';

/** The folder of the image that KServe looks for. */
export const MODELS = 'models';
/** Where olot writes the path of the file that a layer holds. */
const OLOT_PATH = 'olot.layer.content.inlayerpath';
/** In the manifest, and in the index: the digest of the artifact that the image was made of. */
export const SOURCE_DIGEST = 'dev.ocikit.source.digest';

/** In the manifest: paths in the image by diffId, since tools that copy an image may compress its layers and drop their annotations. */
export const LAYER_PATHS = 'dev.ocikit.modelcar.layers';

const LAYER = /^application\/vnd\.oci\.image\.layer\.v1\.tar(?:\+(gzip|zstd))?$/;
const paths = z.record(z.string(), z.string()).catch({});
const config = z.looseObject({ rootfs: z.looseObject({ diff_ids: z.array(z.string()).nullish() }).nullish() }).catch({});

/**
 * KServe's Modelcar: a container image with the model under /models, after the layers of a base image, if it has one. Those of the model are
 * told by annotations with their path in the image: `kit convert` and olot write them. Any other image is read as such.
 */
export const modelcar: Format = {
  name: 'modelcar',

  detect: ({ artifactType, config: { mediaType }, layers, annotations }) =>
    artifactType === undefined &&
    mediaType === MEDIA_TYPE.imageConfig &&
    (annotations?.[LAYER_PATHS] !== undefined || layers.some((layer) => modelPath(layer, undefined) !== undefined)),

  read(manifest, bytes, name) {
    const { rootfs } = config.parse(parseJson(bytes, `${name}: the config ${manifest.config.digest}`));
    const diffIds = diffIdsOf(rootfs?.diff_ids ?? undefined, manifest, name);
    const listed = manifest.annotations?.[LAYER_PATHS];
    const known = listed === undefined ? {} : paths.parse(parseJson(listed, `${name}: the annotation ${LAYER_PATHS}`));
    const layers = manifest.layers.flatMap((layer, index) => {
      const diffId = diffIds[index];
      return readLayer(layer, diffId, diffId !== undefined && Object.hasOwn(known, diffId) ? known[diffId] : undefined);
    });
    const carried = carriedKitfile(manifest, name);
    if (carried === undefined) return { format: 'modelcar', kitfile: deriveKitfile(layers, {}, name), layers };
    const { kitfile, json } = carried;
    return { format: 'modelcar', kitfile, kitfileJson: json, layers: matchEntries(layers, carried, name) };
  },
};

/** The path below /models of what a layer holds; undefined for a layer of something else. */
function modelPath({ mediaType, annotations }: Descriptor, listed: string | undefined): string | undefined {
  if (!LAYER.test(mediaType)) return undefined;
  const path = cleanLayerPath(listed ?? annotations?.[FILEPATH] ?? annotations?.[OLOT_PATH]?.replace(/^\/+/, '') ?? '..');
  if (path === MODELS) return '.';
  return path.startsWith(`${MODELS}/`) ? path.slice(MODELS.length + 1) : undefined;
}

function readLayer(descriptor: Descriptor, diffId: Digest | undefined, listed: string | undefined): ArtifactLayer[] {
  const path = modelPath(descriptor, listed);
  if (path === undefined) return [];
  const compression = (LAYER.exec(descriptor.mediaType)?.[1] ?? 'none') as Compression;
  const common = { name: undefined, encoding: 'tar', target: '', inner: MODELS, mode: DEFAULT_MODE } as const;
  return [{ ...common, role: roleOfFile(path), path, descriptor, diffId, compression }];
}
