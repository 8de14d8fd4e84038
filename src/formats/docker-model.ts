import { KitError } from '../errors.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import { carriedKitfile, carryKitfile, matchEntries } from './carried-kitfile.ts';
import { deriveKitfile } from './derived-kitfile.ts';
import { describeDocker, parseDockerConfig, writeDockerConfig } from './docker-config.ts';
import { dockerKinds, dockerLayerKind, isSingleModel } from './docker-layer.ts';
import { annotatedMode, annotatedPath, namedFile } from './file-annotations.ts';
import { diffIdsOf } from './layer-digests.ts';
import { oneFileLayers } from './one-file-layers.ts';
import { parseJson } from './parse-json.ts';
import type { ArtifactLayer, PackFormat } from './types.ts';
import { createdAnnotation, madeBlob, writeManifest } from './write-manifest.ts';

const CONFIG = /^application\/vnd\.docker\.ai\.model\.config\.v0\.[12]\+json$/;
/** Paths are ignored: Docker names the files itself. */
const SINGLE = 'application/vnd.docker.ai.model.config.v0.1+json';
/** Files keep their paths. */
const DIRECTORY = 'application/vnd.docker.ai.model.config.v0.2+json';

/** Docker Model Runner: v0.1 (GGUF or DDUF with what belongs to it) and v0.2 (a directory); one uncompressed file a layer. */
export const dockerModel: PackFormat = {
  name: 'docker-model',

  detect: (manifest) => CONFIG.test(manifest.config.mediaType),

  plan(entries, options) {
    if (options.encoding === 'tar' || options.compression !== 'none') {
      throw new KitError('UNSUPPORTED', 'Docker Model Runner reads files as they are: no tar layers and no compression', {
        hint: 'leave out `--layer-format` and `--compression`',
      });
    }
    return dockerKinds(oneFileLayers(entries, options)).map(({ kind, layer: { file, ...layer } }) => {
      return { ...layer, mediaType: kind.mediaType, annotations: namedFile(file) };
    });
  },

  assemble(kitfile, layers, options) {
    const kinds = layers.flatMap(({ descriptor }) => dockerLayerKind(descriptor.mediaType) ?? []);
    if (!kinds.some(({ role }) => role === 'model')) {
      throw new KitError('UNSUPPORTED', 'Docker Model Runner runs GGUF, safetensors and DDUF, and the Kitfile names no such file', {
        hint: 'convert the model first, or choose another format',
      });
    }
    const config = madeBlob(isSingleModel(kinds) ? SINGLE : DIRECTORY, writeDockerConfig(kitfile, layers, options));
    const annotations = { ...createdAnnotation(options.created), ...carryKitfile(kitfile, layers) };
    return { config, extra: [], manifest: writeManifest(undefined, config.descriptor, layers, annotations) };
  },

  read(manifest, bytes, name) {
    const config = parseDockerConfig(parseJson(bytes, `${name}: the config ${manifest.config.digest}`), name);
    const diffIds = diffIdsOf(config.rootfs?.diff_ids ?? undefined, manifest, name);
    const total = Map.groupBy(manifest.layers, ({ mediaType }) => mediaType);
    const seen = new Map<string, number>();
    const layers = manifest.layers.map((layer, index) => {
      const { mediaType } = layer;
      const number = (seen.get(mediaType) ?? 0) + 1;
      seen.set(mediaType, number);
      return readLayer(layer, diffIds[index], { number, total: total.get(mediaType)?.length ?? 1 }, name);
    });
    const carried = carriedKitfile(manifest, name);
    if (carried === undefined) return { format: 'docker-model', kitfile: deriveKitfile(layers, describeDocker(config), name), layers };
    const { kitfile, json } = carried;
    return { format: 'docker-model', kitfile, kitfileJson: json, layers: matchEntries(layers, carried, name) };
  },
};

function readLayer(
  descriptor: Descriptor,
  diffId: Digest | undefined,
  { number, total }: { readonly number: number; readonly total: number },
  name: string,
): ArtifactLayer {
  const kind = dockerLayerKind(descriptor.mediaType);
  if (kind === undefined)
    throw new KitError('UNSUPPORTED', `${name}: layer ${descriptor.digest} has the unknown media type \`${descriptor.mediaType}\``);
  const { role, encoding, fileName } = kind;
  const path = annotatedPath(descriptor) ?? fileName(number, total);
  return {
    role,
    name: undefined,
    path: path === '' ? '.' : path,
    descriptor,
    diffId,
    encoding,
    compression: 'none',
    target: encoding === 'raw' ? path : '',
    mode: annotatedMode(descriptor),
  };
}
