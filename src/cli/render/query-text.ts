import { KitError } from '../../errors.ts';
import type { Document } from '../../catalog/document.ts';
import { type FieldPath, parseField, parseFlagField, valuesAt } from '../../catalog/field-path.ts';
import { type JsonValue, stringifyExact } from '../../oci/json.ts';
import type { QueryResult } from '../../operations/query/query.ts';
import { cutTo, singleLine } from './plain-text.ts';
import { type Fields, parseTemplate } from './template.ts';
import { formatBytes, formatTable } from './text.ts';

/** Columns of an expression that names many fields. */
const MAX_COLUMNS = 6;
const MAX_CELL = 64;
const MAX_REFERENCE = 512;
const HINT =
  "write table, json, or a template with fields of a model as in '{{.reference}} {{.model.name}}'; functions are index, len, join, range, if";

/** A table. Without `columns`: what names a model, what the expression is about, and the size. */
export function queryLines({ models, fields }: QueryResult, columns: readonly string[] | undefined): string[] {
  if (models.length === 0) return [];
  const names = columns ?? [...new Set(['reference', ...fields.slice(0, MAX_COLUMNS), 'size'])];
  const paths = names.map(parseField);
  const rows = models.map((document) =>
    paths.map((path) => cutTo(singleLine(cell(document, path)), path.text === 'reference' ? MAX_REFERENCE : MAX_CELL)),
  );
  return formatTable([names.map((name) => name.toUpperCase()), ...rows]);
}

function cell(document: Document, { text, steps }: FieldPath): string {
  const values = valuesAt(document, steps);
  const [value] = values;
  if (value === undefined) return '-';
  if (text === 'size' && typeof value === 'number') return formatBytes(value);
  return values.map(textOf).join(', ');
}

function textOf(value: JsonValue): string {
  if (typeof value === 'string') return value;
  if (Array.isArray(value)) return value.map(textOf).join(', ');
  return stringifyExact(value);
}

const FIELD = /\{\{[^{}]*?\}\}/g;

/** The fields that a template names. */
export function templateFields(source: string): string[] {
  const actions = source.match(FIELD) ?? [];
  const names = actions.flatMap((action) => action.replaceAll(/"(?:[^"\\]|\\.)*"|`[^`]*`/g, '').match(/(?<=\s|\{|-)\.\w[\w.-]*/g) ?? []);
  return [...new Set(names.map((name) => name.slice(1)))];
}

/** @throws KitError USAGE | QUERY_INVALID before anything is asked */
export function queryTemplate(source: string): (document: Document) => string {
  // a mistyped name of a format would be printed once for each model
  if (!source.includes('{{')) throw new KitError('USAGE', `invalid value \`${source}\` for --format`, { hint: HINT });
  const fields = templateFields(source).map((name) => ({ name, path: parseFlagField(name, '--format') }));
  // of a kind that any function takes: what a field holds is known later
  const template = parse(source, Object.fromEntries(fields.map(({ name }) => [name, ['']])));
  return (document) => template(Object.fromEntries(fields.map(({ name, path }) => [name, fieldValue(document, path)])));
}

function parse(source: string, sample: Fields): ReturnType<typeof parseTemplate> {
  try {
    return parseTemplate(source, sample);
  } catch (error) {
    throw error instanceof KitError ? new KitError(error.code, error.message, { hint: HINT }) : error;
  }
}

function fieldValue(document: Document, { steps }: FieldPath): Fields[string] {
  const value = valuesAt(document, steps)[0] ?? null;
  if (value === null) return '';
  if (Array.isArray(value)) return value.map((item) => singleLine(textOf(item)));
  return typeof value === 'number' ? value : singleLine(textOf(value));
}
