import { KitError } from '../errors.ts';
import { parseExactJson } from '../oci/json.ts';
import { withTimeLimit } from '../time-limit.ts';
import { fulfils } from './evaluate.ts';
import type { Expression } from './expression.ts';
import type { FieldPath } from './field-path.ts';
import { parseExpression } from './parse-expression.ts';

/** An expression that was understood. */
export interface Question {
  /** What of it a database may be asked; undefined for a JSONPath. */
  readonly expression: Expression | undefined;
  /** Fields that it names, for columns; of a JSONPath none are known. */
  readonly fields: readonly FieldPath[];
  /** True where the answer may depend on the field. */
  asksFor(field: string): boolean;
  /** The places in `documents`, each JSON, of those that fulfil it. @throws KitError QUERY_INVALID when it takes too long */
  select(documents: readonly string[]): readonly number[];
}

/**
 * A comparison on the fields of a document, or a JSONPath (RFC 9535) when it begins with `$`, which a document fulfils when it selects
 * something in it. @throws KitError QUERY_INVALID
 */
export async function openQuestion(text: string): Promise<Question> {
  return text.trimStart().startsWith('$') ? await openJsonPath(text.trim()) : openComparison(text);
}

function openComparison(text: string): Question {
  const { expression, fields } = parseExpression(text);
  const roots = new Set(fields.map(({ steps: [first] }) => (typeof first === 'object' && 'name' in first ? first.name : '')));
  return {
    expression,
    fields,
    asksFor: (field) => roots.has(field),
    select: (documents) => select(documents, text, (json) => fulfils(parseExactJson(json), expression)),
  };
}

const MAX_PATH_LENGTH = 4096;

async function openJsonPath(path: string): Promise<Question> {
  if (path.length > MAX_PATH_LENGTH) throw refused(path, `it has ${path.length} characters, the limit is ${MAX_PATH_LENGTH}`);
  const { query } = await import('jsonpath-rfc9535');
  const holds = (json: string): boolean => query(JSON.parse(json) as Parameters<typeof query>[0], path).length > 0;
  const find = (documents: readonly string[]): readonly number[] => {
    try {
      return select(documents, path, holds);
    } catch (error) {
      if (error instanceof KitError) throw error;
      throw refused(path, describeSyntax(error));
    }
  };
  // what is wrong with it shows with any document
  find(['{}']);
  return { expression: undefined, fields: [], asksFor: (field) => path.includes(field), select: find };
}

/** Peggy's errors have a place. */
function describeSyntax(error: unknown): string {
  const { message, location } = error as { message?: unknown; location?: { start?: { offset?: unknown } } };
  const offset = location?.start?.offset;
  const why = String(message).split('\n')[0]?.slice(0, 300) ?? '';
  return typeof offset === 'number' ? `character ${offset + 1}: ${why}` : why;
}

function refused(path: string, why: string): KitError {
  return new KitError('QUERY_INVALID', `JSONPath \`${path.slice(0, 200)}\`: ${why}`, {
    hint: 'RFC 9535 has the grammar; for example $.model.parameters[?@ > 0.95], or $.datasets[?@.license == "MIT"]',
  });
}

function select(documents: readonly string[], what: string, holds: (json: string) => boolean): readonly number[] {
  const found: number[] = [];
  const search = (): void => {
    for (const [index, json] of documents.entries()) if (holds(json)) found.push(index);
  };
  withTimeLimit(search, 'QUERY_INVALID', () => `expression \`${what}\``);
  return found;
}
