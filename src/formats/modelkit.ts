import type { Compression } from '../blobs/compress.ts';
import { KitError } from '../errors.ts';
import { kitfileFields } from '../kitfile/fields.ts';
import { readKitfileJson } from '../kitfile/read-json.ts';
import { type Kitfile, kitfileEntries, type KitfileEntry, type Role } from '../kitfile/types.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import { type JsonValue, stringifyLikeGo } from '../oci/json.ts';
import type { Manifest } from '../oci/manifest.ts';
import { annotatedMode, annotatedPath, FILEPATH, fileMetadata } from './file-annotations.ts';
import { type LayerInfo, layerInfoIn } from './layer-info.ts';
import { parseJson } from './parse-json.ts';
import type { Artifact, ArtifactLayer, Encoding, EntryFiles, PackFile, PackFormat, PlannedLayer, PlanOptions } from './types.ts';
import { compressionSuffix, createdAnnotation, madeBlob, SUBTYPE, writeManifest } from './write-manifest.ts';

const CONFIG = 'application/vnd.kitops.modelkit.config.v1+json';
const ARTIFACT_TYPE = 'application/vnd.kitops.modelkit.manifest.v1+json';
const LAYER = /^application\/vnd\.kitops\.modelkit\.(\w+)\.v1\.(tar|raw)(?:\+(gzip|zstd))?$/;

const TYPE_OF_ROLE: Readonly<Record<Role, string>> = {
  model: 'model',
  modelpart: 'modelpart',
  code: 'code',
  dataset: 'dataset',
  docs: 'docs',
  prompt: 'code',
  mcpserver: 'mcpb',
};

/** KitOps' own format: tar layers, and the Kitfile with layer digests as config. */
export const modelkit: PackFormat = {
  name: 'modelkit',

  detect: (manifest) => manifest.config.mediaType === CONFIG || manifest.artifactType === ARTIFACT_TYPE,

  plan: (entries, options) => entries.map((one) => planLayer(one, options)),

  assemble(kitfile, layers, { created, annotations }) {
    const find = (role: Role, index: number): { digest: Digest; diffId: Digest } | undefined => {
      const layer = layers.find((candidate) => candidate.role === role && candidate.index === index);
      return layer && { digest: layer.descriptor.digest, diffId: layer.diffId };
    };
    const config = madeBlob(CONFIG, stringifyLikeGo(kitfileFields(kitfile, find)));
    return {
      config,
      extra: [],
      manifest: writeManifest(ARTIFACT_TYPE, config.descriptor, layers, { ...annotations, ...createdAnnotation(created) }),
    };
  },

  read(manifest, config, name) {
    const value = parseJson(config, `${name}: the config ${manifest.config.digest}`);
    const kitfile = readKitfileJson(value, name);
    return { format: 'modelkit', kitfile, kitfileJson: value, layers: matchLayers(manifest, kitfile, value, name) } satisfies Artifact;
  },
};

function planLayer<File extends PackFile>(
  { entry, path, files }: EntryFiles<File>,
  { encoding: wanted = 'tar', compression: method, warn }: PlanOptions,
): PlannedLayer<File> {
  const { role } = entry;
  const isServer = role === 'mcpserver';
  const file = files.find((candidate) => candidate.path === path && candidate.type === 'file');
  const isRaw = (isServer || wanted === 'raw') && file !== undefined;
  if (!isRaw && isServer) throw new KitError('PATH_UNSUPPORTED', `${path} is not a file: an MCP server is one .mcpb file`);
  if (!isRaw && wanted === 'raw') warn('LAYER_NOT_RAW', `${path} is a directory: packed as tar, since a raw layer is one file`);
  const encoding: Encoding = isRaw ? 'raw' : 'tar';
  const compression = isServer ? 'none' : method;
  const mark = role === 'prompt' ? { [SUBTYPE]: 'prompt' } : {};
  return {
    entry,
    path,
    encoding,
    compression,
    mediaType: `application/vnd.kitops.modelkit.${TYPE_OF_ROLE[role]}.v1.${encoding}${compressionSuffix(compression)}`,
    annotations: { ...mark, ...(isRaw && fileMetadata(file)), [FILEPATH]: path },
    files: isRaw ? [file] : files,
  };
}

interface LayerType {
  readonly role: Role;
  readonly encoding: Encoding;
  readonly compression: Compression;
}

/** Undefined for a media type that is none of KitOps'. */
export function parseLayerType(layer: Descriptor): LayerType | undefined {
  const match = LAYER.exec(layer.mediaType);
  if (!match) return undefined;
  const [, type = '', encoding, suffix] = match;
  const isPrompt = type === 'code' && layer.annotations?.[SUBTYPE] === 'prompt';
  const role = isPrompt ? 'prompt' : (Object.keys(TYPE_OF_ROLE) as Role[]).find((candidate) => TYPE_OF_ROLE[candidate] === type);
  if (role === undefined) return undefined;
  return { role, encoding: encoding as Encoding, compression: (suffix ?? 'none') as Compression };
}

// the layers of one role come in the order of the Kitfile's entries; a digest in the config must agree
function matchLayers(manifest: Manifest, kitfile: Kitfile, config: JsonValue, name: string): ArtifactLayer[] {
  const entries = kitfileEntries(kitfile).map((entry) => ({ entry, info: layerInfoIn(config, entry, name) }));
  // ModelKits from before KitOps 0.5 carry no digests, and name files relative to the layer's parent
  const isLegacy = entries.every(({ info }) => info === undefined);
  const expected = entries.filter(({ entry, info }) => info !== undefined || (isLegacy && entry.path !== undefined));
  const layers = manifest.layers.map((descriptor) => {
    const type = parseLayerType(descriptor);
    if (type === undefined)
      throw new KitError('UNSUPPORTED', `${name}: layer ${descriptor.digest} has the unknown media type \`${descriptor.mediaType}\``);
    const at = expected.findIndex(({ entry }) => entry.role === type.role);
    const found = at === -1 ? undefined : expected.splice(at, 1)[0];
    if (found === undefined)
      throw new KitError(
        'MANIFEST_INVALID',
        `${name}: the manifest has a ${type.role} layer ${descriptor.digest} that the config does not know`,
      );
    if (found.info !== undefined && found.info.digest !== descriptor.digest) {
      throw new KitError(
        'MANIFEST_INVALID',
        `${name}: the manifest's ${type.role} layer is ${descriptor.digest}, but the config says ${found.info.digest}`,
      );
    }
    return toLayer(found.entry, found.info, descriptor, type);
  });
  const missing = isLegacy ? undefined : expected[0];
  if (missing)
    throw new KitError(
      'MANIFEST_INVALID',
      `${name}: the config names the ${missing.entry.role} layer ${missing.info?.digest ?? ''}, which the manifest lacks`,
    );
  return layers;
}

function toLayer(entry: KitfileEntry, info: LayerInfo | undefined, descriptor: Descriptor, type: LayerType): ArtifactLayer {
  const path = entry.path ?? '.';
  const isRaw = type.encoding === 'raw';
  const parent = info === undefined ? path.replace(/\/+$/, '').split('/').slice(0, -1).join('/') : '';
  return {
    ...type,
    name: entry.name,
    path,
    descriptor,
    diffId: info?.diffId,
    target: isRaw ? (annotatedPath(descriptor) ?? path) : parent,
    mode: annotatedMode(descriptor),
  };
}
