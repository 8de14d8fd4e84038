import { KitError } from '../errors.ts';
import { type JsonValue, parseExactJson } from '../oci/json.ts';

/** @throws KitError MANIFEST_INVALID, starting with `what`, for what is no UTF-8 or no JSON */
export function parseJson(json: string | Uint8Array, what: string): JsonValue {
  try {
    return parseExactJson(typeof json === 'string' ? json : new TextDecoder('utf-8', { fatal: true }).decode(json));
  } catch (cause) {
    throw new KitError('MANIFEST_INVALID', `${what} is not JSON`, { cause });
  }
}
