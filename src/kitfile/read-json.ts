import { KitError } from '../errors.ts';
import type { JsonValue } from '../oci/json.ts';
import { MAX_DEPTH } from './max-depth.ts';
import { lenientKitfile } from './schema.ts';
import type { Kitfile } from './types.ts';
import { violations } from './violations.ts';
import { withoutUndefined } from './without-undefined.ts';

/**
 * The Kitfile in a config blob. Unknown fields are left out and null is absent, as in Go; numbers stay as they are.
 * @param name how messages name the JSON: a digest or reference
 * @throws KitError MANIFEST_INVALID when a field has the wrong type
 */
export function readKitfileJson(value: JsonValue, name: string): Kitfile {
  const fields = withoutNull(value, name, 0);
  const result = lenientKitfile.safeParse(fields);
  if (result.success) return withoutUndefined(result.data);
  const messages = violations(result.error.issues, fields).map(({ message }) => message);
  throw new KitError('MANIFEST_INVALID', `config ${name} holds no valid Kitfile: ${messages.slice(0, 5).join('; ')}`, {
    hint: 'ask whoever published this artifact to pack it again',
    cause: result.error,
  });
}

function withoutNull(value: JsonValue, name: string, depth: number): unknown {
  // everything that walks a Kitfile recurses
  if (depth > MAX_DEPTH) throw new KitError('MANIFEST_INVALID', `config ${name} is nested deeper than ${MAX_DEPTH} levels`);
  if (value === null) return undefined;
  if (typeof value !== 'object') return value;
  if (Array.isArray(value)) return value.map((item) => withoutNull(item, name, depth + 1));
  const entries = Object.entries(value).map(([key, item]) => {
    if (key !== 'parameters') return [key, withoutNull(item, name, depth + 1)];
    withoutNull(item, name, depth + 1);
    return [key, item ?? undefined];
  });
  return Object.fromEntries(entries);
}
