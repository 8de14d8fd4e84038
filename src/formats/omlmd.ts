import { ANNOTATION } from '../oci/media-types.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { KitError } from '../errors.ts';
import { carriedKitfile, carryKitfile, matchEntries } from './carried-kitfile.ts';
import { deriveKitfile } from './derived-kitfile.ts';
import { annotatedMode, annotatedPath, namedFile } from './file-annotations.ts';
import { roleOfFile } from './file-role.ts';
import { describeOmlmd, metadataBlobs, OMLMD_CONFIG, omlmdAnnotations, parseOmlmdMetadata, toOmlmdMetadata } from './omlmd-metadata.ts';
import { oneFileLayers } from './one-file-layers.ts';
import { parseJson } from './parse-json.ts';
import type { ArtifactLayer, Blob, PackFormat } from './types.ts';
import { createdAnnotation, writeManifest } from './write-manifest.ts';

const MODEL = 'application/x-mlmodel';
/** What omlmd called a model before September 2024. */
const OLDER_MODEL = 'application/x-artifact';
const OTHER_FILE = 'application/octet-stream';
const METADATA_JSON = 'model_metadata.omlmd.json';
const METADATA_YAML = 'model_metadata.omlmd.yaml';

/** OMLMD: model files beside their metadata as JSON (which is the config too) and as YAML. */
export const omlmd: PackFormat = {
  name: 'omlmd',

  // omlmd itself finds the config among the layers
  detect: ({ config, layers }) => config.mediaType === OMLMD_CONFIG && layers.some(({ digest }) => digest === config.digest),

  plan(entries, options) {
    if (options.encoding === 'tar' || options.compression !== 'none') {
      throw new KitError('UNSUPPORTED', 'OMLMD holds files as they are: no tar layers and no compression', {
        hint: 'leave out `--layer-format` and `--compression`',
      });
    }
    const layers = oneFileLayers(entries, options).map(({ file, ...layer }) => {
      const isModel = layer.entry.role === 'model' || layer.entry.role === 'modelpart';
      return { ...layer, mediaType: isModel ? MODEL : OTHER_FILE, annotations: namedFile(file) };
    });
    const taken = layers.find(({ path }) => path === METADATA_JSON || path === METADATA_YAML);
    if (taken === undefined) return layers;
    throw new KitError('UNSUPPORTED', `${taken.path} cannot be packed: OMLMD writes a file of that name from the Kitfile`, {
      hint: 'put what it says into the Kitfile (model.parameters) and name it in .kitignore',
    });
  },

  assemble(kitfile, layers, options) {
    const metadata = toOmlmdMetadata(kitfile, layers, options);
    const { json, yaml } = metadataBlobs(metadata);
    const annotations = { ...omlmdAnnotations(metadata), ...createdAnnotation(options.created), ...carryKitfile(kitfile, layers) };
    const named = [titled(json, METADATA_JSON), titled(yaml, METADATA_YAML)];
    const manifest = writeManifest(undefined, json.descriptor, [...layers, ...named], annotations);
    return { config: json, extra: [yaml], manifest };
  },

  read(manifest, bytes, name) {
    const metadata = parseOmlmdMetadata(parseJson(bytes, `${name}: the config ${manifest.config.digest}`), name);
    const layers = manifest.layers.map((layer) => readLayer(layer, name));
    const carried = carriedKitfile(manifest, name);
    if (carried === undefined) return { format: 'omlmd', kitfile: deriveKitfile(layers, describeOmlmd(metadata), name), layers };
    const { kitfile, json } = carried;
    // the metadata is nobody's entry
    const [own, files] = [layers.filter(({ role }) => role === 'file'), layers.filter(({ role }) => role !== 'file')];
    return { format: 'omlmd', kitfile, kitfileJson: json, layers: [...matchEntries(files, carried, name), ...own] };
  },
};

function titled({ descriptor }: Blob, title: string): { readonly descriptor: Descriptor } {
  return { descriptor: { ...descriptor, annotations: { [ANNOTATION.title]: title } } };
}

function readLayer(descriptor: Descriptor, name: string): ArtifactLayer {
  const path = annotatedPath(descriptor);
  if (path === undefined) throw new KitError('UNSUPPORTED', `${name}: layer ${descriptor.digest} has no title that names its file`);
  const { mediaType } = descriptor;
  const isModel = mediaType === MODEL || mediaType === OLDER_MODEL;
  return {
    role: isModel ? 'model' : mediaType === OMLMD_CONFIG ? 'file' : roleOfFile(path),
    name: undefined,
    path,
    descriptor,
    diffId: undefined,
    encoding: 'raw',
    compression: 'none',
    target: path,
    mode: annotatedMode(descriptor),
  };
}
