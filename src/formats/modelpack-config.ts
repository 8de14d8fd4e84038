import * as z from 'zod';
import { KitError } from '../errors.ts';
import { type Kitfile } from '../kitfile/types.ts';
import { type JsonValue, compareBytes, stringifyLikeGo } from '../oci/json.ts';
import { type Described, parametersOf } from './derived-kitfile.ts';
import { formatParameters, weightsFormat } from './model-facts.ts';
import type { AssembleOptions, PackedLayer } from './types.ts';

const text = z.string().optional();
const configSchema = z.looseObject({
  descriptor: z
    .looseObject({
      name: text,
      version: text,
      description: text,
      family: text,
      authors: z.array(z.string()).optional(),
      licenses: z.array(z.string()).optional(),
    })
    .optional(),
  config: z.looseObject({ architecture: text, format: text, paramSize: text, precision: text, quantization: text }).optional(),
  modelfs: z.looseObject({ diffIds: z.array(z.string()).nullish() }).optional(),
});
type Config = z.infer<typeof configSchema>;

/** model-spec, config.md; what is not asked for may be anything. @throws KitError MANIFEST_INVALID */
export function parseModelpackConfig(value: JsonValue, name: string): Config {
  const result = configSchema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new KitError('MANIFEST_INVALID', `${name}: config field \`${issue?.path.join('.') ?? ''}\`: ${issue?.message ?? 'invalid'}`);
}

/** What the config says of the model, for a Kitfile. */
export function describeModelpack({ descriptor = {}, config = {} }: Config): Described {
  const { name, version, description, family, authors, licenses } = descriptor;
  const { architecture, format, paramSize, precision, quantization } = config;
  return {
    package: { name, version, description, license: licenses?.[0], authors: authors?.length === 0 ? undefined : authors },
    model: { name, format },
    parameters: parametersOf({ architecture, family, paramSize, precision, quantization }),
  };
}

/** The config as KitOps fills it from a Kitfile, with what the weights say of themselves. Time only where it is given. */
export function writeModelpackConfig(kitfile: Kitfile, layers: readonly PackedLayer[], { created, facts }: AssembleOptions): string {
  const { name, version, description, authors } = kitfile.package;
  const licenses = licensesOf(kitfile);
  return stringifyLikeGo({
    descriptor: {
      createdAt: created,
      authors: authors === undefined || authors.length === 0 ? undefined : authors,
      name: name || undefined,
      version: version || undefined,
      licenses: licenses.length === 0 ? undefined : licenses,
      title: name || undefined,
      description: description || undefined,
    },
    modelfs: { type: 'layers', diffIds: layers.map(({ diffId }) => diffId) },
    config: {
      architecture: facts?.architecture,
      format: weightsFormat(facts, kitfile, layers),
      paramSize: facts?.parameterCount === undefined ? undefined : paramSize(facts.parameterCount),
      precision: facts?.precision,
      quantization: facts?.quantization,
    },
  });
}

/** As every example of the spec has it: `8b`, `1.5b`. Below a thousand there is no unit to write it with. */
function paramSize(count: number): string | undefined {
  return count < 1000 ? undefined : formatParameters(count, 1).replace('.0', '').toLowerCase();
}

function licensesOf({ package: { license }, model, datasets = [], code = [] }: Kitfile): string[] {
  const all = [license, model?.license, ...[...(model?.parts ?? []), ...datasets, ...code].map((item) => item.license)];
  return [...new Set(all.filter((one): one is string => one !== undefined && one !== ''))].toSorted(compareBytes);
}
