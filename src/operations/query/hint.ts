import { parseDocument } from '../../catalog/document.ts';
import { type FieldPath, valuesAt } from '../../catalog/field-path.ts';
import type { CallOptions } from '../../events.ts';
import { nearestName } from '../../kitfile/nearest-name.ts';

const MAX_NAMES = 2000;

/** Says which fields of an expression none of the documents has: names that people choose are not known before. */
export function hintAtNames(fields: readonly FieldPath[], documents: readonly string[], call: CallOptions): void {
  if (call.onEvent === undefined || documents.length === 0) return;
  const parsed = documents.map(parseDocument);
  for (const { text, steps } of fields) {
    const last = steps.at(-1);
    if (steps.length < 2 || typeof last !== 'object' || !('name' in last)) continue;
    if (parsed.some((document) => valuesAt(document, steps).length > 0)) continue;
    const names = new Set<string>();
    for (const document of parsed) {
      for (const parent of valuesAt(document, steps.slice(0, -1))) {
        if (parent === null || typeof parent !== 'object' || names.size > MAX_NAMES) continue;
        for (const name of Object.keys(parent)) names.add(name);
      }
    }
    const nearest = nearestName(last.name, [...names]);
    const meant = nearest === undefined ? '' : `; there is \`${nearest}\``;
    call.onEvent({ type: 'warning', code: 'QUERY_INVALID', message: `no model has the field \`${text}\`${meant}` });
  }
}
