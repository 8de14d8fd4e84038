import * as z from 'zod';

import { type Digest, isDigest } from '../oci/digest.ts';
import type { JsonValue } from '../oci/json.ts';

const text = z.string().optional();
/** Free-form: any JSON. Its content was made by our own readers, so it is not walked again. */
const free = z.custom<JsonValue>().optional();

const SHAPES = {
  package: { name: text, version: text, description: text, license: text, authors: z.array(z.string()).optional() },
  part: { name: text, path: text, license: text, type: text },
  code: { path: text, description: text, license: text },
  dataset: {
    name: text,
    path: text,
    description: text,
    license: text,
    parameters: free,
  },
  docs: { path: z.string().default(''), description: text },
  prompt: { name: text, path: text, description: text },
};

/** More than this would not fit into a config. */
export const MAX_REMOTE_FILES = 10_000;

const REMOTE = { remotePath: text, remoteHash: text };
/** What packing found there: not for people to write. */
const RECORDED = {
  ...REMOTE,
  remoteRevision: text,
  remoteFiles: z
    .array(z.object({ path: z.string(), size: z.int().nonnegative(), digest: z.custom<Digest>(isDigest) }))
    .max(MAX_REMOTE_FILES)
    .optional(),
};

/** Strict for what a person writes; a config blob may hold fields of a later version (and digests), which are left out. */
function kitfileSchema<R extends typeof REMOTE>(object: typeof z.strictObject | typeof z.object, remote: R) {
  const list = <S extends z.core.$ZodLooseShape>(shape: S) => z.array(object(shape)).optional();
  return object({
    manifestVersion: z.string().default(''),
    package: object(SHAPES.package).default({}),
    model: object({
      name: text,
      path: text,
      license: text,
      framework: text,
      format: text,
      version: text,
      description: text,
      parts: list(SHAPES.part),
      parameters: free,
      ...remote,
    }).optional(),
    code: list(SHAPES.code),
    datasets: list({ ...SHAPES.dataset, ...remote }),
    docs: list(SHAPES.docs),
    prompts: list(SHAPES.prompt),
    mcpServers: list(SHAPES.prompt),
  });
}

export const strictKitfile = kitfileSchema(z.strictObject, REMOTE);
export const lenientKitfile = kitfileSchema(z.object, RECORDED);

/** The names that a schema knows at `path` (`['model', 'parts', 0]`); empty where it knows no fields. */
export function knownFieldsOf(root: z.ZodType, path: readonly (string | number)[]): string[] {
  let schema: z.core.$ZodType | undefined = root;
  for (const step of path) {
    const outer: z.core.$ZodType | undefined = unwrap(schema);
    if (typeof step === 'number') schema = outer instanceof z.ZodArray ? outer.element : undefined;
    else schema = outer instanceof z.ZodObject ? (outer.shape as Record<string, z.core.$ZodType>)[step] : undefined;
  }
  const object = unwrap(schema);
  return object instanceof z.ZodObject ? Object.keys(object.shape) : [];
}

function unwrap(schema: z.core.$ZodType | undefined): z.core.$ZodType | undefined {
  return schema instanceof z.ZodOptional || schema instanceof z.ZodDefault ? unwrap(schema.unwrap()) : schema;
}
