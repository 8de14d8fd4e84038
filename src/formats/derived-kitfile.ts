import { readKitfileJson } from '../kitfile/read-json.ts';
import type { Kitfile, Role } from '../kitfile/types.ts';
import type { JsonValue } from '../oci/json.ts';
import type { ArtifactLayer } from './types.ts';

/** What a config says of its model, in a Kitfile's words. Anything may be absent. */
export interface Described {
  readonly package?: Readonly<Record<string, JsonValue | undefined>>;
  readonly model?: Readonly<Record<string, JsonValue | undefined>>;
  readonly parameters?: JsonValue | undefined;
}

/**
 * A Kitfile for an artifact that carries none: its layers by role, and what the config says. The first weights are the model,
 * the others its parts. @throws KitError MANIFEST_INVALID for a config that says it in the wrong types, or too deeply nested
 */
export function deriveKitfile(layers: readonly ArtifactLayer[], described: Described, name: string): Kitfile {
  const paths = (role: Role): { path: string }[] => layers.filter((layer) => layer.role === role).map(({ path }) => ({ path }));
  const [weight, ...moreWeights] = paths('model');
  const model = present({
    ...described.model,
    path: weight?.path,
    parts: nonEmpty([...moreWeights, ...paths('modelpart')]),
    parameters: described.parameters,
  });
  const fields = present({
    manifestVersion: '1.0.0',
    package: present(described.package ?? {}),
    model: Object.keys(model).length === 0 ? undefined : model,
    code: nonEmpty(paths('code')),
    datasets: nonEmpty(paths('dataset')),
    docs: nonEmpty(paths('docs')),
  });
  return readKitfileJson(fields, name);
}

function present(fields: Readonly<Record<string, JsonValue | undefined>>): { [key: string]: JsonValue } {
  const entries = Object.entries(fields).filter((entry): entry is [string, JsonValue] => {
    const [, value] = entry;
    return value !== undefined && value !== null && value !== '';
  });
  return Object.fromEntries(entries);
}

function nonEmpty(list: { path: string }[]): { path: string }[] | undefined {
  return list.length === 0 ? undefined : list;
}

/** `fields` without those that are absent or empty; undefined when none is left. */
export function parametersOf(fields: Readonly<Record<string, JsonValue | undefined>>): JsonValue | undefined {
  const parameters = present(fields);
  return Object.keys(parameters).length === 0 ? undefined : parameters;
}
