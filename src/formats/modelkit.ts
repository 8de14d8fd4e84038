import type { Compression } from '../blobs/compress.ts';
import { KitError } from '../errors.ts';
import { kitfileFields } from '../kitfile/fields.ts';
import { readKitfileJson } from '../kitfile/read-json.ts';
import { type Kitfile, kitfileEntries, type KitfileEntry, type Role } from '../kitfile/types.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import { type JsonValue, parseExactJson, stringifyLikeGo } from '../oci/json.ts';
import type { Manifest } from '../oci/manifest.ts';
import { MEDIA_TYPE } from '../oci/media-types.ts';
import { annotatedMode, annotatedPath, FILEPATH, fileMetadata } from './file-annotations.ts';
import { type LayerInfo, layerInfoIn } from './layer-info.ts';
import type { Artifact, ArtifactLayer, Encoding, PackFormat } from './types.ts';

const CONFIG = 'application/vnd.kitops.modelkit.config.v1+json';
const ARTIFACT_TYPE = 'application/vnd.kitops.modelkit.manifest.v1+json';
const LAYER = /^application\/vnd\.kitops\.modelkit\.(\w+)\.v1\.(tar|raw)(?:\+(gzip|zstd))?$/;
/** Prompts travel as code layers with this annotation (KitOps 1.15). */
const SUBTYPE = 'ml.kitops.modelkit.layer-subtype';

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
  configMediaType: CONFIG,

  detect: (manifest) => manifest.config.mediaType === CONFIG || manifest.artifactType === ARTIFACT_TYPE,

  layerMediaType(role, encoding, compression) {
    const suffix = compression === 'none' ? '' : compression === 'zstd' ? '+zstd' : '+gzip';
    return `application/vnd.kitops.modelkit.${TYPE_OF_ROLE[role]}.v1.${encoding}${suffix}`;
  },

  layerAnnotations(role, path, file) {
    return { ...(role === 'prompt' && { [SUBTYPE]: 'prompt' }), ...(file && fileMetadata(path, file)), [FILEPATH]: path };
  },

  assembleConfig(kitfile, layers) {
    const find = (role: Role, index: number): { digest: Digest; diffId: Digest } | undefined => {
      const layer = layers.find((candidate) => candidate.role === role && candidate.index === index);
      return layer && { digest: layer.descriptor.digest, diffId: layer.diffId };
    };
    return Buffer.from(stringifyLikeGo(kitfileFields(kitfile, find)));
  },

  assembleManifest(config, layers, { annotations }) {
    const manifest = {
      schemaVersion: 2,
      mediaType: MEDIA_TYPE.imageManifest,
      artifactType: ARTIFACT_TYPE,
      config,
      layers: layers.map((layer) => layer.descriptor),
      ...(Object.keys(annotations).length > 0 && { annotations: sorted(annotations) }),
    };
    return Buffer.from(stringifyLikeGo(manifest));
  },

  read(manifest, config, name) {
    let value: JsonValue;
    try {
      value = parseExactJson(new TextDecoder('utf-8', { fatal: true }).decode(config));
    } catch (cause) {
      throw new KitError('MANIFEST_INVALID', `${name}: the config ${manifest.config.digest} is not JSON`, { cause });
    }
    const kitfile = readKitfileJson(value, name);
    return { format: 'modelkit', kitfile, layers: matchLayers(manifest, kitfile, value, name) } satisfies Artifact;
  },
};

function sorted<T>(record: Readonly<Record<string, T>>): Record<string, T> {
  return Object.fromEntries(Object.entries(record).toSorted(([a], [b]) => (a < b ? -1 : 1)));
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
