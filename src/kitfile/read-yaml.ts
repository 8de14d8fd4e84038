import type { ErrorCode } from '../errors.ts';
import type { JsonValue } from '../oci/json.ts';
import { composeDocuments } from './compose.ts';
import { construct } from './construct.ts';

/** Every document of a YAML (or JSON) file as plain values, empty ones left out. @throws KitError with `code`, line and column */
export function readYamlDocuments(text: string, file: string, code: ErrorCode): JsonValue[] {
  const source = { file, text: text.replace(/^\uFEFF/, ''), code };
  return composeDocuments(source)
    .map((node) => construct(source, node, () => true).value as JsonValue)
    .filter((value) => value !== null);
}
