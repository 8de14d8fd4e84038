import * as z from 'zod';
import { KitError } from '../errors.ts';
import type { Kitfile } from '../kitfile/types.ts';
import type { Annotations } from '../oci/descriptor.ts';
import type { JsonValue } from '../oci/json.ts';
import type { Described } from './derived-kitfile.ts';
import { weightsFormat } from './model-facts.ts';
import { pythonJson } from './python-json.ts';
import { pythonYaml } from './python-yaml.ts';
import type { AssembleOptions, Blob, PackedLayer } from './types.ts';
import { madeBlob } from './write-manifest.ts';

type Properties = { [key: string]: JsonValue };

/** The fields of omlmd's ModelMetadata, in the order in which it writes them. */
export interface OmlmdMetadata {
  readonly name: string | null;
  readonly description: string | null;
  readonly author: string | null;
  readonly customProperties: Properties;
  readonly uri: string | null;
  readonly model_format_name: string | null;
  readonly model_format_version: string | null;
}

const text = z
  .string()
  .nullish()
  .transform((value) => value ?? null);
const schema = z.object({
  name: text,
  description: text,
  author: text,
  // checked for depth when it becomes part of a Kitfile
  customProperties: z
    .custom<Properties>((value) => typeof value === 'object' && value !== null && !Array.isArray(value), 'not an object')
    .nullish()
    .transform((value) => value ?? {}),
  uri: text,
  model_format_name: text,
  model_format_version: text,
});

/** @throws KitError MANIFEST_INVALID */
export function parseOmlmdMetadata(value: JsonValue, name: string): OmlmdMetadata {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new KitError('MANIFEST_INVALID', `${name}: metadata field \`${issue?.path.join('.') ?? ''}\`: ${issue?.message ?? 'invalid'}`);
}

/** What of a Kitfile has no field in the metadata travels among the custom properties, unless one of that name is there. */
const LIFTED = ['license', 'version', 'framework'] as const;

export function describeOmlmd({ name, description, author, customProperties, model_format_name }: OmlmdMetadata): Described {
  const lifted = LIFTED.flatMap((key): [string, JsonValue][] => {
    const value = Object.hasOwn(customProperties, key) ? customProperties[key] : undefined;
    return typeof value === 'string' ? [[key, value]] : [];
  });
  return {
    package: { name, description, authors: author ? [author] : undefined },
    model: { name, description, format: model_format_name, ...Object.fromEntries(lifted) },
    parameters: Object.keys(customProperties).length === 0 ? undefined : customProperties,
  };
}

/** The metadata of a Kitfile: its parameters are the custom properties. */
export function toOmlmdMetadata(kitfile: Kitfile, layers: readonly PackedLayer[], { facts }: AssembleOptions): OmlmdMetadata {
  const { model = {}, package: details } = kitfile;
  const parameters = model.parameters ?? {};
  const isMap = typeof parameters === 'object' && parameters !== null && !Array.isArray(parameters);
  const properties: Properties = isMap ? { ...parameters } : { parameters };
  const others = { license: model.license || details.license, version: model.version || details.version, framework: model.framework };
  for (const [key, value] of Object.entries(others)) if (value && !Object.hasOwn(properties, key)) properties[key] = value;
  return {
    name: model.name || details.name || null,
    description: model.description || details.description || null,
    author: details.authors?.join(', ') || null,
    customProperties: properties,
    uri: null,
    model_format_name: weightsFormat(facts, kitfile, layers) ?? null,
    model_format_version: facts?.formatVersion ?? null,
  };
}

/** As omlmd annotates a manifest: text as it is, everything else as `KEY+json`, nulls left out. */
export function omlmdAnnotations(metadata: OmlmdMetadata): Annotations {
  return Object.fromEntries(
    Object.entries(metadata).flatMap(([key, value]: [string, JsonValue]) => {
      if (value === null) return [];
      return typeof value === 'string' ? [[key, value]] : [[`${key}+json`, pythonJson(value)]];
    }),
  );
}

/** The type of the metadata, whether as config or as files. */
export const OMLMD_CONFIG = 'application/x-config';

/** The two metadata files, as omlmd writes them. */
export function metadataBlobs(metadata: OmlmdMetadata): { readonly json: Blob; readonly yaml: Blob } {
  const fields = { ...metadata };
  return { json: madeBlob(OMLMD_CONFIG, pythonJson(fields, 4)), yaml: madeBlob(OMLMD_CONFIG, pythonYaml(fields)) };
}
