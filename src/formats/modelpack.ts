import * as z from 'zod';
import type { Compression } from '../blobs/compress.ts';
import { KitError } from '../errors.ts';
import { readKitfileJson } from '../kitfile/read-json.ts';
import { withoutUndefined } from '../kitfile/without-undefined.ts';
import { type Kitfile, kitfileEntries, type Role } from '../kitfile/types.ts';
import { type Digest, isDigest } from '../oci/digest.ts';
import { type JsonValue, parseExactJson } from '../oci/json.ts';
import type { Manifest } from '../oci/manifest.ts';
import { annotatedMode, annotatedPath } from './file-annotations.ts';
import { layerInfoIn } from './layer-info.ts';
import type { ArtifactLayer, Encoding, Format } from './types.ts';

const CONFIG = /^application\/vnd\.(cncf|cnai)\.model\.config\.v1\+json$/;
const ARTIFACT_TYPE = /^application\/vnd\.(cncf|cnai)\.model\.manifest\.v1\+json$/;
// cnai are the names from before the CNCF; .gguf and .safetensors are Docker's own older ones
const LAYER =
  /^application\/vnd\.(?:cncf|cnai)\.model\.(weight|weight\.config|dataset|code|doc)\.v1\.(tar|raw|gguf|safetensors)(?:\+(gzip|zstd))?$/;
const KITFILE = 'ml.kitops.modelkit.kitfile';

const ROLE_OF_TYPE: Readonly<Record<string, Role>> = {
  weight: 'model',
  'weight.config': 'modelpart',
  dataset: 'dataset',
  code: 'code',
  doc: 'docs',
};

const configSchema = z.looseObject({
  descriptor: z
    .looseObject({
      name: z.string().optional(),
      version: z.string().optional(),
      description: z.string().optional(),
      authors: z.array(z.string()).optional(),
      licenses: z.array(z.string()).optional(),
    })
    .optional(),
  config: z.looseObject({ format: z.string().optional() }).optional(),
  modelfs: z.looseObject({ diffIds: z.array(z.string()).optional() }).optional(),
});
type Config = z.infer<typeof configSchema>;

/** CNCF ModelPack (model-spec): one file per layer, named by annotation. */
export const modelpack: Format = {
  name: 'modelpack',

  detect: (manifest) => CONFIG.test(manifest.config.mediaType) || ARTIFACT_TYPE.test(manifest.artifactType ?? ''),

  read(manifest, bytes, name) {
    const config = parseConfig(bytes, manifest, name);
    const layers = manifest.layers.map((_, index) => readLayer(manifest, config, index, name));
    const annotation = manifest.annotations?.[KITFILE];
    if (annotation === undefined) return { format: 'modelpack', kitfile: deriveKitfile(config, layers), layers };
    const value = parseJson(annotation, `${name}: the annotation ${KITFILE}`);
    const kitfile = readKitfileJson(value, name);
    return { format: 'modelpack', kitfile, layers: layers.map((layer) => nameLayer(layer, kitfile, value, name)) };
  },
};

function parseConfig(bytes: Uint8Array, manifest: Manifest, name: string): Config {
  const result = configSchema.safeParse(parseJson(bytes, `${name}: the config ${manifest.config.digest}`));
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new KitError('MANIFEST_INVALID', `${name}: config field \`${issue?.path.join('.') ?? ''}\`: ${issue?.message ?? 'invalid'}`);
}

function parseJson(json: string | Uint8Array, what: string): JsonValue {
  try {
    return parseExactJson(typeof json === 'string' ? json : new TextDecoder('utf-8', { fatal: true }).decode(json));
  } catch (cause) {
    throw new KitError('MANIFEST_INVALID', `${what} is not JSON`, { cause });
  }
}

function readLayer(manifest: Manifest, config: Config, index: number, name: string): ArtifactLayer {
  const descriptor = manifest.layers[index] as Manifest['layers'][number];
  const [, type = '', format = '', suffix = 'none'] = LAYER.exec(descriptor.mediaType) ?? [];
  const role = ROLE_OF_TYPE[type];
  if (role === undefined)
    throw new KitError('UNSUPPORTED', `${name}: layer ${descriptor.digest} has the unknown media type \`${descriptor.mediaType}\``);
  const path = annotatedPath(descriptor);
  if (path === undefined) throw new KitError('UNSUPPORTED', `${name}: layer ${descriptor.digest} has no annotation that names its file`);
  const encoding: Encoding = format === 'tar' ? 'tar' : 'raw';
  const compression = suffix as Compression;
  return {
    role,
    encoding,
    compression,
    name: undefined,
    path,
    descriptor,
    diffId: diffIdOf(config, index),
    target: encoding === 'raw' ? path : '',
    mode: annotatedMode(descriptor),
  };
}

// some writers leave out the algorithm
function diffIdOf(config: Config, index: number): Digest | undefined {
  const text = config.modelfs?.diffIds?.[index];
  if (text === undefined) return undefined;
  const digest = text.includes(':') ? text : `sha256:${text}`;
  return isDigest(digest) ? digest : undefined;
}

// names come from the Kitfile's entry of the same digest
function nameLayer(layer: ArtifactLayer, kitfile: Kitfile, value: JsonValue, name: string): ArtifactLayer {
  const entry = kitfileEntries(kitfile).find((candidate) => layerInfoIn(value, candidate, name)?.digest === layer.descriptor.digest);
  return entry === undefined ? layer : { ...layer, role: entry.role, name: entry.name, path: entry.path ?? layer.path };
}

/** A Kitfile for an artifact that carries none: its layers by type, and what the config says of the model. */
function deriveKitfile({ descriptor = {}, config }: Config, layers: readonly ArtifactLayer[]): Kitfile {
  const paths = (role: Role): { path: string }[] => layers.filter((layer) => layer.role === role).map(({ path }) => ({ path }));
  const [weight, ...moreWeights] = paths('model');
  const { name, version, description, authors, licenses } = descriptor;
  return withoutUndefined({
    manifestVersion: '1.0.0',
    package: { name, version, description, license: licenses?.[0], authors: nonEmpty(authors ?? []) },
    model: { name, path: weight?.path, format: config?.format, parts: nonEmpty([...moreWeights, ...paths('modelpart')]) },
    code: nonEmpty(paths('code')),
    datasets: nonEmpty(paths('dataset')),
    docs: nonEmpty(paths('docs')),
  });
}

function nonEmpty<T>(list: T[]): T[] | undefined {
  return list.length === 0 ? undefined : list;
}
