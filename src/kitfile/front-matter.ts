import { isKitError } from '../errors.ts';
import type { JsonValue } from '../oci/json.ts';
import { composeDocuments } from './compose.ts';
import { construct } from './construct.ts';

/**
 * The fields between the `---` lines at the beginning of a model card. Undefined where there are none, or what is there is no YAML object:
 * a card is written for people. `file` goes into no message.
 */
export function readFrontMatter(text: string, file: string): { readonly [key: string]: JsonValue } | undefined {
  const [, yaml] = /^\uFEFF?---[ \t]*\r?\n(.*?)\r?\n---[ \t]*(?:\r?\n|$)/s.exec(text) ?? [];
  if (yaml === undefined) return undefined;
  try {
    const source = { file, text: yaml };
    const [root] = composeDocuments(source);
    const value = root && (construct(source, root, () => true).value as JsonValue | undefined);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined;
  } catch (error) {
    if (isKitError(error, 'KITFILE_INVALID')) return undefined;
    throw error;
  }
}
