import type { Document } from '../../catalog/document.ts';
import { isNumeric } from '../../catalog/evaluate.ts';
import { type FieldPath, parseFlagField, valuesAt } from '../../catalog/field-path.ts';
import { KitError } from '../../errors.ts';
import type { JsonValue } from '../../oci/json.ts';

export interface SortKey {
  readonly field: FieldPath;
  readonly descending: boolean;
}

/** `FIELD`, `FIELD:asc` or `FIELD:desc`. @throws KitError QUERY_INVALID | USAGE */
export function parseSort(text: string): SortKey {
  const [, field = text, direction] = /^(.*?)(?::(asc|desc))?$/s.exec(text) ?? [];
  if (/:\w*$/.test(field)) throw new KitError('USAGE', `invalid order \`${text}\``, { hint: 'write FIELD, FIELD:asc or FIELD:desc' });
  return { field: parseFlagField(field, '--sort'), descending: direction === 'desc' };
}

// 1.10.0 after 1.9.0
const collator = new Intl.Collator('en', { numeric: true });

/** In the order of the keys, then of the references: numbers, then texts, in either direction; what has no such field comes last. */
export function sortDocuments(documents: readonly Document[], keys: readonly SortKey[]): Document[] {
  const rows = documents.map((document) => ({
    document,
    values: keys.map(({ field }) => valuesAt(document, field.steps)[0] ?? null),
    reference: textOf(document['reference']),
    digest: textOf(document['digest']),
  }));
  rows.sort((a, b) => {
    for (const [at, { descending }] of keys.entries()) {
      const order = compareKeys(a.values[at] ?? null, b.values[at] ?? null, descending);
      if (order !== 0) return order;
    }
    return compareTexts(a.reference, b.reference) || compareTexts(a.digest, b.digest);
  });
  return rows.map(({ document }) => document);
}

function textOf(value: JsonValue | undefined): string {
  return typeof value === 'string' ? value : '';
}

function compareTexts(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function compareKeys(a: JsonValue, b: JsonValue, descending: boolean): number {
  const kind = kindOf(a) - kindOf(b);
  if (kind !== 0) return kind;
  const order = compareAlike(a, b);
  return descending ? -order : order;
}

function kindOf(value: JsonValue): number {
  if (typeof value === 'number' || typeof value === 'bigint' || (typeof value === 'string' && isNumeric(value))) return 0;
  if (typeof value === 'string') return 1;
  return typeof value === 'boolean' ? 2 : 3;
}

function compareAlike(a: JsonValue, b: JsonValue): number {
  if (kindOf(a) === 0) {
    const [left, right] = [a, b].map((value) => (typeof value === 'bigint' ? value : Number(value)));
    return left === undefined || right === undefined || left === right ? 0 : left < right ? -1 : 1;
  }
  if (typeof a === 'string' && typeof b === 'string') return collator.compare(a, b);
  return Number(a === true) - Number(b === true);
}
