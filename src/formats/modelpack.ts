import type { Compression } from '../blobs/compress.ts';
import { KitError } from '../errors.ts';
import type { Role } from '../kitfile/types.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import { carriedKitfile, carryKitfile, matchEntries } from './carried-kitfile.ts';
import { deriveKitfile } from './derived-kitfile.ts';
import { annotatedMode, annotatedPath, FILEPATH, namedFile } from './file-annotations.ts';
import { roleOfModelFile } from './file-role.ts';
import { diffIdsOf } from './layer-digests.ts';
import { describeModelpack, parseModelpackConfig, writeModelpackConfig } from './modelpack-config.ts';
import { oneFileLayers } from './one-file-layers.ts';
import { parseJson } from './parse-json.ts';
import type { ArtifactLayer, EntryFiles, PackFile, PackFormat, PlannedLayer, PlanOptions } from './types.ts';
import { compressionSuffix, createdAnnotation, madeBlob, SUBTYPE, writeManifest } from './write-manifest.ts';

const CONFIG = 'application/vnd.cncf.model.config.v1+json';
const ARTIFACT_TYPE = 'application/vnd.cncf.model.manifest.v1+json';
// cnai are the names from before the CNCF
const READABLE_CONFIG = /^application\/vnd\.(cncf|cnai)\.model\.config\.v1\+json$/;
const READABLE_ARTIFACT_TYPE = /^application\/vnd\.(cncf|cnai)\.model\.manifest\.v1\+json$/;
// .gguf and .safetensors are Docker's own older ones
const LAYER =
  /^application\/vnd\.(?:cncf|cnai)\.model\.(weight|weight\.config|dataset|code|doc)\.v1\.(tar|raw|gguf|safetensors)(?:\+(gzip|zstd))?$/;
/** Older KitOps kept the Kitfile as a layer of its own. */
const KITFILE_LAYER = 'application/vnd.kitops.modelkit.config.v1+json';

const TYPE_OF_ROLE: Readonly<Record<Exclude<Role, 'mcpserver'>, string>> = {
  model: 'weight',
  modelpart: 'weight.config',
  dataset: 'dataset',
  code: 'code',
  docs: 'doc',
  prompt: 'code',
};
const ROLE_OF_TYPE: Readonly<Record<string, Role>> = {
  weight: 'model',
  'weight.config': 'modelpart',
  dataset: 'dataset',
  code: 'code',
  doc: 'docs',
};

/** CNCF ModelPack (model-spec): one file per layer, named by annotation; the Kitfile in an annotation, as KitOps keeps it. */
export const modelpack: PackFormat = {
  name: 'modelpack',

  detect: (manifest) => READABLE_CONFIG.test(manifest.config.mediaType) || READABLE_ARTIFACT_TYPE.test(manifest.artifactType ?? ''),

  plan(entries, options) {
    const server = entries.find(({ entry }) => entry.role === 'mcpserver');
    if (server !== undefined) {
      throw new KitError('UNSUPPORTED', `${server.path}: a ModelPack has no place for MCP servers`, {
        hint: 'take mcpServers out of the Kitfile, or pack a ModelKit (without `--use-model-pack`)',
      });
    }
    const { encoding = options.compression === 'none' ? 'raw' : 'tar', compression } = options;
    if (encoding === 'tar') return entries.map((one) => tarLayer(one, compression));
    if (compression !== 'none') {
      throw new KitError('UNSUPPORTED', `raw layers of a ModelPack cannot be compressed (${compression})`, {
        hint: 'leave out `--compression`, or use `--layer-format tar`',
      });
    }
    return rawLayers(entries, options);
  },

  assemble(kitfile, layers, options) {
    if (layers.length === 0) {
      throw new KitError('UNSUPPORTED', 'a ModelPack needs a layer at least, and the Kitfile names no files', {
        hint: 'name a file in the Kitfile',
      });
    }
    const config = madeBlob(CONFIG, writeModelpackConfig(kitfile, layers, options));
    const annotations = { ...options.annotations, ...createdAnnotation(options.created), ...carryKitfile(kitfile, layers) };
    return { config, extra: [], manifest: writeManifest(ARTIFACT_TYPE, config.descriptor, layers, annotations) };
  },

  read(manifest, bytes, name) {
    const config = parseModelpackConfig(parseJson(bytes, `${name}: the config ${manifest.config.digest}`), name);
    const diffIds = diffIdsOf(config.modelfs?.diffIds ?? undefined, manifest, name);
    const layers = manifest.layers.flatMap((layer, index) => readLayer(layer, diffIds[index], name));
    const carried = carriedKitfile(manifest, name);
    if (carried === undefined) return { format: 'modelpack', kitfile: deriveKitfile(layers, describeModelpack(config), name), layers };
    const { kitfile, json } = carried;
    return { format: 'modelpack', kitfile, kitfileJson: json, layers: matchEntries(layers, carried, name) };
  },
};

function mediaType(type: string, encoding: 'tar' | 'raw', compression: Compression): string {
  return `application/vnd.cncf.model.${type}.v1.${encoding}${compressionSuffix(compression)}`;
}

function typeOf(role: Role): string {
  return TYPE_OF_ROLE[role as keyof typeof TYPE_OF_ROLE];
}

function promptMark(role: Role): Readonly<Record<string, string>> {
  return role === 'prompt' ? { [SUBTYPE]: 'prompt' } : {};
}

// as KitOps writes them, byte for byte; no title, since the layer is not the file that it would name
function tarLayer<File extends PackFile>({ entry, path, files }: EntryFiles<File>, compression: Compression): PlannedLayer<File> {
  const annotations = { ...promptMark(entry.role), [FILEPATH]: path };
  return { entry, path, encoding: 'tar', compression, mediaType: mediaType(typeOf(entry.role), 'tar', compression), annotations, files };
}

function rawLayers<File extends PackFile>(entries: readonly EntryFiles<File>[], options: PlanOptions): PlannedLayer<File>[] {
  const named = new Set(entries.filter(({ entry }) => entry.role === 'model').map(({ path }) => path));
  return oneFileLayers(entries, options).map(({ file, ...layer }) => ({
    ...layer,
    mediaType: mediaType(typeOf(named.has(layer.path) ? 'model' : roleOfRaw(layer.entry.role, layer.path)), 'raw', 'none'),
    annotations: { ...promptMark(layer.entry.role), ...namedFile(file) },
  }));
}

// consumers go by the media type of a file: shards among the parts are weights, a config.json beside them is none
function roleOfRaw(role: Role, path: string): Role {
  if (role === 'model') return roleOfModelFile(path);
  return role === 'modelpart' && roleOfModelFile(path) === 'model' ? 'model' : role;
}

function readLayer(descriptor: Descriptor, diffId: Digest | undefined, name: string): ArtifactLayer[] {
  if (descriptor.mediaType === KITFILE_LAYER) return [];
  const [, type = '', format = '', suffix = 'none'] = LAYER.exec(descriptor.mediaType) ?? [];
  const role = descriptor.annotations?.[SUBTYPE] === 'prompt' && type === 'code' ? 'prompt' : ROLE_OF_TYPE[type];
  if (role === undefined)
    throw new KitError('UNSUPPORTED', `${name}: layer ${descriptor.digest} has the unknown media type \`${descriptor.mediaType}\``);
  const path = annotatedPath(descriptor);
  if (path === undefined) throw new KitError('UNSUPPORTED', `${name}: layer ${descriptor.digest} has no annotation that names its file`);
  const encoding = format === 'tar' ? 'tar' : 'raw';
  return [
    {
      role,
      encoding,
      compression: suffix as Compression,
      name: undefined,
      path,
      descriptor,
      diffId,
      target: encoding === 'raw' ? path : '',
      mode: annotatedMode(descriptor),
    },
  ];
}
