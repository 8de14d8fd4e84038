import { posix } from 'node:path';
import { KitError } from '../errors.ts';
import { cleanLayerPath } from '../kitfile/layer-path.ts';
import type { Kitfile } from '../kitfile/types.ts';
import { type Annotations, describe, type Descriptor } from '../oci/descriptor.ts';
import { type JsonValue, parseExactJson, stringifyLikeGo } from '../oci/json.ts';
import type { Manifest } from '../oci/manifest.ts';
import { ANNOTATION, MEDIA_TYPE } from '../oci/media-types.ts';
import { carryKitfile } from './carried-kitfile.ts';
import { FILEPATH } from './file-annotations.ts';
import { LAYER_PATHS, MODELS, SOURCE_DIGEST } from './modelcar.ts';
import { modelpack } from './modelpack.ts';
import type { AssembledArtifact, AssembleOptions, Blob, PackedLayer } from './types.ts';
import { createdAnnotation, madeBlob, writeManifest } from './write-manifest.ts';

/** OCI image spec, image-index.md. */
export interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string | undefined;
}

/** An image that a model is put on. */
export interface BaseImage {
  readonly manifest: Manifest;
  /** The bytes of its config. */
  readonly config: Uint8Array;
  readonly digest: string;
  /** As messages and annotations name it. */
  readonly name: string;
}

export interface ModelcarOptions extends Pick<AssembleOptions, 'created'> {
  readonly platform: Platform;
  /** Undefined: an image of the model alone. */
  readonly base?: BaseImage | undefined;
  /** Digest of the artifact that the model comes from. */
  readonly source: string;
  readonly annotations?: Annotations | undefined;
}

/** Readers of images want a time: umoci fails without one. */
const EPOCH = '1970-01-01T00:00:00Z';
const IMAGE_LAYER = 'application/vnd.oci.image.layer.v1.tar';
const OCI_LAYER_OF: Readonly<Record<string, string>> = {
  'application/vnd.docker.image.rootfs.diff.tar.gzip': `${IMAGE_LAYER}+gzip`,
  'application/vnd.docker.image.rootfs.diff.tar': IMAGE_LAYER,
};

/** The layer of a Modelcar, by its path below /models: an uncompressed archive whose names begin with `models/`. */
export function modelcarLayer(
  layer: Omit<PackedLayer, 'descriptor'> & { readonly descriptor: Pick<Descriptor, 'digest' | 'size'> },
): PackedLayer {
  const { digest, size } = layer.descriptor;
  return { ...layer, descriptor: { mediaType: IMAGE_LAYER, digest, size, annotations: { [FILEPATH]: posix.join(MODELS, layer.path) } } };
}

/**
 * A Modelcar: image config and manifest for one platform. No artifactType: CRI-O would mount the layers as files then. A base keeps all that its
 * config says. @throws KitError MANIFEST_INVALID for a base that contradicts itself
 */
export function assembleModelcar(kitfile: Kitfile, layers: readonly PackedLayer[], options: ModelcarOptions): AssembledArtifact {
  const { base, source, created, annotations } = options;
  const config = madeBlob(MEDIA_TYPE.imageConfig, stringifyLikeGo(imageConfig(layers, options)));
  const below = (base?.manifest.layers ?? []).map((descriptor) => {
    return { descriptor: { ...descriptor, mediaType: OCI_LAYER_OF[descriptor.mediaType] ?? descriptor.mediaType } };
  });
  const manifest = writeManifest(undefined, config.descriptor, [...below, ...layers], {
    ...annotations,
    ...createdAnnotation(created),
    ...(base && { 'org.opencontainers.image.base.digest': base.digest, 'org.opencontainers.image.base.name': base.name }),
    [SOURCE_DIGEST]: source,
    [LAYER_PATHS]: stringifyLikeGo(Object.fromEntries(layers.map(({ diffId, path }) => [diffId, posix.join(MODELS, path)]))),
    ...carryKitfile(kitfile, layers),
  });
  return { config, extra: [], manifest };
}

type Fields = { [key: string]: JsonValue };

function imageConfig(layers: readonly PackedLayer[], { platform, base, created = EPOCH }: ModelcarOptions): Fields {
  const known = base === undefined ? scratch(platform) : baseConfig(base);
  const rootfs = asFields(known['rootfs']);
  const diffIds = asList(rootfs['diff_ids']);
  const history = asList(known['history']);
  const below = base?.manifest.layers.length ?? 0;
  if (base !== undefined && diffIds.length !== below) {
    throw new KitError('MANIFEST_INVALID', `${base.name}: the config lists ${diffIds.length} diffIds for ${below} layers`, {
      hint: 'choose another base image',
    });
  }
  const added = layers.map(({ path }) => ({ created, created_by: `kit convert: ${posix.join(MODELS, path)}` }));
  // a history that does not cover all layers is worse than none
  const isCovered = history.filter((item) => asFields(item)['empty_layer'] !== true).length === below;
  return {
    created,
    ...known,
    rootfs: { ...rootfs, type: 'layers', diff_ids: [...diffIds, ...layers.map(({ diffId }) => diffId)] },
    ...(isCovered ? { history: [...history, ...added] } : {}),
  };
}

function scratch({ os, architecture, variant }: Platform): Fields {
  return { architecture, os, ...(variant !== undefined && { variant }), config: {} };
}

/** @throws KitError MANIFEST_INVALID */
function baseConfig({ config, name }: BaseImage): Fields {
  let value: JsonValue;
  try {
    value = parseExactJson(new TextDecoder('utf-8', { fatal: true }).decode(config));
  } catch (cause) {
    throw new KitError('MANIFEST_INVALID', `${name}: the config is not JSON`, { cause });
  }
  return asFields(value);
}

/** The platform that a base image says it is for. @throws KitError MANIFEST_INVALID */
export function platformOf(base: BaseImage): Platform {
  const { os, architecture, variant } = baseConfig(base);
  if (typeof os !== 'string' || typeof architecture !== 'string')
    throw new KitError('MANIFEST_INVALID', `${base.name}: the config names no platform`, { hint: 'choose another base image' });
  return { os, architecture, ...(typeof variant === 'string' && { variant }) };
}

/** True when the base runs a program of its own whatever arguments it gets: KServe gives none but arguments. */
export function hasEntrypoint(base: BaseImage): boolean {
  return asList(asFields(baseConfig(base)['config'])['Entrypoint']).length > 0;
}

function asFields(value: JsonValue | undefined): Fields {
  return value === null || value === undefined || typeof value !== 'object' || Array.isArray(value) ? {} : value;
}

function asList(value: JsonValue | undefined): JsonValue[] {
  return Array.isArray(value) ? value : [];
}

/** The same layers as a ModelPack, whose files are below `models` too. */
export function modelcarModelpack(kitfile: Kitfile, layers: readonly PackedLayer[], options: AssembleOptions): AssembledArtifact {
  const below = belowModels(kitfile);
  const packed = layers.map((layer): PackedLayer => {
    const path = posix.join(MODELS, layer.path);
    const entry = { role: layer.role, index: layer.index, name: undefined, path };
    const planned = modelpack.plan([{ entry, path, files: [] }], { encoding: 'tar', compression: 'none', warn: () => {} });
    const { mediaType = '', annotations = {} } = planned[0] ?? {};
    const { digest, size } = layer.descriptor;
    return { ...layer, path, descriptor: { mediaType, digest, size, annotations: { ...annotations, [ANNOTATION.title]: path } } };
  });
  return modelpack.assemble(below, packed, options);
}

function moved<T extends { readonly path?: string }>(item: T): T {
  return item.path === undefined ? item : { ...item, path: posix.join(MODELS, cleanLayerPath(item.path)) };
}

function belowModels(kitfile: Kitfile): Kitfile {
  const { model, code, datasets, docs, prompts } = kitfile;
  return {
    ...kitfile,
    ...(model && { model: { ...moved(model), ...(model.parts && { parts: model.parts.map(moved) }) } }),
    ...(code && { code: code.map(moved) }),
    ...(datasets && { datasets: datasets.map(moved) }),
    ...(docs && { docs: docs.map(moved) }),
    ...(prompts && { prompts: prompts.map(moved) }),
  };
}

/** One image of an index, or the ModelPack beside them. */
export interface IndexedManifest {
  readonly bytes: Uint8Array;
  /** Undefined for the ModelPack. */
  readonly platform: Platform | undefined;
}

const UNKNOWN_PLATFORM = { architecture: 'unknown', os: 'unknown' };

/** An index over the images, the ModelPack last and marked as olot marks it. */
export function writeModelcarIndex(manifests: readonly IndexedManifest[], source: string): Blob {
  const entries = manifests.map(({ bytes, platform }) => {
    const { mediaType, digest, size } = describe(MEDIA_TYPE.imageManifest, bytes);
    if (platform === undefined) {
      const annotations = { 'io.opendatahub.modelcar.manifest.type': 'modelpack', [SOURCE_DIGEST]: source };
      return {
        mediaType,
        digest,
        size,
        annotations,
        platform: UNKNOWN_PLATFORM,
        artifactType: 'application/vnd.cncf.model.manifest.v1+json',
      };
    }
    const { os, architecture, variant } = platform;
    return { mediaType, digest, size, annotations: { [SOURCE_DIGEST]: source }, platform: { architecture, os, variant } };
  });
  const index = { schemaVersion: 2, mediaType: MEDIA_TYPE.imageIndex, manifests: entries, annotations: { [SOURCE_DIGEST]: source } };
  return madeBlob(MEDIA_TYPE.imageIndex, stringifyLikeGo(index));
}
