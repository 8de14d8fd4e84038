import { describeDocker, parseDockerConfig } from '../../formats/docker-config.ts';
import { LAYER_PATHS, SOURCE_DIGEST } from '../../formats/modelcar.ts';
import type { ModelFacts } from '../../formats/model-facts.ts';
import { parseModelpackConfig } from '../../formats/modelpack-config.ts';
import type { ConvertFormat } from './content.ts';
import { type JsonValue, parseExactJson } from '../../oci/json.ts';
import { ANNOTATION } from '../../oci/media-types.ts';
import type { Annotations } from '../../oci/descriptor.ts';
import type { LoadedArtifact } from '../artifact/load-artifact.ts';

/** Fields of a config that become part of a Kitfile, or that every config gets anew. */
const HELD: Readonly<Record<string, readonly string[]>> = {
  modelpack: [
    'descriptor.createdAt',
    'descriptor.authors',
    'descriptor.name',
    'descriptor.title',
    'descriptor.version',
    'descriptor.description',
    'descriptor.licenses.0',
    'descriptor.family',
    'modelfs',
    'config.architecture',
    'config.format',
    'config.paramSize',
    'config.precision',
    'config.quantization',
  ],
  'docker-model': ['config', 'descriptor', 'rootfs', 'created'],
  omlmd: ['name', 'description', 'author', 'customProperties', 'model_format_name', 'model_format_version'],
};

/** What the config says that has no place in another format, by the names of its fields. */
export function lostFields(artifact: LoadedArtifact): string[] {
  const own = HELD[artifact.format];
  if (own === undefined) return [];
  // one that was written from a Kitfile says what that says
  const held = artifact.kitfileJson === undefined ? own : [...own, 'descriptor.licenses'];
  return leavesOf(parseExactJson(artifact.config.toString()), '')
    .filter((path) => !held.some((known) => path === known || path.startsWith(`${known}.`)))
    .map((path) => `${path} of the config`);
}

/** Names of all fields that say something, lists by their positions. */
function leavesOf(value: JsonValue, path: string): string[] {
  if (value === null || value === '') return [];
  if (typeof value !== 'object') return [path];
  return Object.entries(value).flatMap(([key, item]) => leavesOf(item, path === '' ? key : `${path}.${key}`));
}

const BASE_DIGEST = 'org.opencontainers.image.base.digest';
const BASE_NAME = 'org.opencontainers.image.base.name';
/** Annotations by which a format says what another says in its own way. */
const OWN = ['ml.kitops.modelkit.kitfile', 'dev.ocikit.kitfile', ANNOTATION.created, SOURCE_DIGEST, LAYER_PATHS, BASE_DIGEST, BASE_NAME];
const OWN_OF_OMLMD = ['name', 'description', 'author', 'customProperties+json', 'uri', 'model_format_name', 'model_format_version'];

/** The annotations of the manifest that belong to no format: somebody put them there. */
export function foreignAnnotations({ format, manifest }: LoadedArtifact): Annotations {
  const own = format === 'omlmd' ? [...OWN, ...OWN_OF_OMLMD] : OWN;
  return Object.fromEntries(Object.entries(manifest.annotations ?? {}).filter(([key]) => !own.includes(key)));
}

/** Who packed an artifact is no part of the model. */
const TOOL = /\.cli-version$|^io\.opendatahub\./;

/** Those that the format has no place for. */
export function lostAnnotations(annotations: Annotations, to: ConvertFormat): string[] {
  if (to !== 'docker-model' && to !== 'omlmd') return [];
  return Object.keys(annotations)
    .filter((key) => !TOOL.test(key))
    .map((key) => `annotation ${key}`);
}

/** What the config says of the weights, where their headers cannot be read, or say less. */
export function statedFacts(artifact: LoadedArtifact): ModelFacts {
  const name = artifact.descriptor.digest;
  if (artifact.format === 'modelpack') {
    const { config = {} } = parseModelpackConfig(parseExactJson(artifact.config.toString()), name);
    const { architecture, precision, quantization, format, paramSize } = config;
    return { architecture, precision, quantization, format: format || undefined, parameterCount: parameterCount(paramSize) };
  }
  if (artifact.format !== 'docker-model') return {};
  const config = parseDockerConfig(parseExactJson(artifact.config.toString()), name);
  const { architecture, quantization, parameters, context_size } = config.config ?? {};
  const format = describeDocker(config).model?.['format'];
  return {
    architecture: architecture ?? undefined,
    quantization: quantization ?? undefined,
    format: typeof format === 'string' && format !== '' ? format : undefined,
    parameterCount: parameterCount(parameters),
    contextSize: context_size ?? undefined,
  };
}

const FACTORS: Readonly<Record<string, number>> = { '': 1, K: 1e3, M: 1e6, B: 1e9, T: 1e12 };

/** `8.03B` as a number. */
function parameterCount(text: string | null | undefined): number | undefined {
  const [, digits, unit = ''] = /^\s*(\d+(?:\.\d+)?)\s*([KMBT]?)\s*$/i.exec(text ?? '') ?? [];
  const factor = FACTORS[unit.toUpperCase()];
  return digits === undefined || factor === undefined ? undefined : Math.round(Number(digits) * factor);
}

/** `first`, and what it does not say from `second`. */
export function mergedFacts(first: ModelFacts | undefined, second: ModelFacts): ModelFacts {
  const known = Object.entries(first ?? {}).filter(([, value]) => value !== undefined);
  return { ...second, ...Object.fromEntries(known) };
}
