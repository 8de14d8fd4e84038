import * as z from 'zod';
import { KitError } from '../errors.ts';
import type { Kitfile } from '../kitfile/types.ts';
import { type JsonValue, stringifyLikeGo } from '../oci/json.ts';
import { type Described, parametersOf } from './derived-kitfile.ts';
import { dockerLayerKind } from './docker-layer.ts';
import { formatParameters, weightsFormat } from './model-facts.ts';
import type { AssembleOptions, PackedLayer } from './types.ts';

const text = z.string().nullish();
const configSchema = z.looseObject({
  config: z
    .looseObject({ format: text, quantization: text, parameters: text, architecture: text, size: text, context_size: z.int().nullish() })
    .nullish(),
  rootfs: z.looseObject({ diff_ids: z.array(z.string()).nullish() }).nullish(),
});
type Config = z.infer<typeof configSchema>;

/** @throws KitError MANIFEST_INVALID */
export function parseDockerConfig(value: JsonValue, name: string): Config {
  const result = configSchema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new KitError('MANIFEST_INVALID', `${name}: config field \`${issue?.path.join('.') ?? ''}\`: ${issue?.message ?? 'invalid'}`);
}

/** What the config says of the model, for a Kitfile. */
export function describeDocker({ config }: Config): Described {
  const { format, architecture, parameters, quantization, size, context_size } = config ?? {};
  return {
    model: { format: format === 'diffusers' ? 'dduf' : format },
    parameters: parametersOf({ architecture, parameters, quantization, size, context_size }),
  };
}

const MAX_INT32 = 2 ** 31 - 1;

/**
 * The config blob. Docker takes one with `descriptor.createdAt`, `modelfs` or `config.paramSize` for a ModelPack's, whatever its
 * media type: here the time is `descriptor.created`.
 */
export function writeDockerConfig(kitfile: Kitfile, layers: readonly PackedLayer[], { created, facts = {} }: AssembleOptions): string {
  const { architecture, quantization, parameterCount, contextSize, metadata } = facts;
  const known = weightsFormat(facts, kitfile, layers);
  const format = known === 'dduf' ? 'diffusers' : known;
  const isMetadataKnown = metadata !== undefined && (format === 'gguf' || format === 'safetensors' || format === 'diffusers');
  return stringifyLikeGo({
    config: {
      format,
      quantization,
      parameters: parameterCount === undefined ? undefined : formatParameters(parameterCount, 2),
      architecture,
      size: formatSize(layers),
      ...(isMetadataKnown && { [format]: sortedByName(metadata) }),
      context_size: contextSize !== undefined && contextSize <= MAX_INT32 ? contextSize : undefined,
    },
    descriptor: { created },
    rootfs: { type: 'rootfs', diff_ids: layers.map(({ diffId }) => diffId) },
  });
}

function sortedByName(metadata: Readonly<Record<string, string>>): Map<string, string> {
  return new Map(Object.entries(metadata).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const;

/** Bytes of the weights: `4.58GiB`. */
function formatSize(layers: readonly PackedLayer[]): string {
  const weights = layers.filter(({ descriptor }) => dockerLayerKind(descriptor.mediaType)?.role === 'model');
  const bytes = weights.reduce((sum, { descriptor }) => sum + descriptor.size, 0);
  const step = Math.min(UNITS.length - 1, Math.floor(Math.log2(Math.max(bytes, 1)) / 10));
  return `${(bytes / 1024 ** step).toFixed(step === 0 ? 0 : 2)}${UNITS[step]}`;
}
