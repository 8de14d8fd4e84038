import { stringifyLikeGo } from '../oci/json.ts';
import { isKitError } from '../errors.ts';
import { type Fields, kitfileFields } from './fields.ts';
import { compareNatural } from './natural-order.ts';
import { parseKitfile } from './parse.ts';
import { scalarStyle, writeScalar } from './scalar-style.ts';
import type { Kitfile } from './types.ts';

/**
 * A Kitfile as YAML, laid out as kit lays it out (yaml.v3, indent 2) but with exact numbers: 1000000 where kit writes 1e+06.
 * @param original the text that the Kitfile may come from: returned as it is when it still says the same, with its comments
 */
export function printKitfile(kitfile: Kitfile, original?: string): string {
  const fields = kitfileFields(kitfile);
  if (original !== undefined && saysTheSame(original, fields)) return original;
  const { manifestVersion, package: details, ...rest } = fields;
  // Go's omitempty leaves an empty struct out of YAML, though not out of JSON
  const isEmpty = Object.keys(details as Fields).length === 0;
  return printValue({ manifestVersion, ...(isEmpty ? {} : { package: details }), ...rest });
}

/** A part of what kitfileFields gives as a YAML document of its own, in the same layout. */
export function printValue(value: unknown): string {
  return `${writeCollection(value, 0) ?? writeLeaf(value, 0)}\n`;
}

/** Written as `[a, b]`. */
class FlowList {
  readonly items: readonly string[];

  constructor(items: readonly string[]) {
    this.items = items;
  }
}

function saysTheSame(text: string, fields: Fields): boolean {
  try {
    return stringifyLikeGo(kitfileFields(parseKitfile(text, 'Kitfile').kitfile)) === stringifyLikeGo(fields);
  } catch (error) {
    if (isKitError(error, 'KITFILE_INVALID')) return false;
    throw error;
  }
}

const spaces = (count: number): string => ' '.repeat(count);

/** The lines of a block map, the first without its indentation. */
function writeMap(entries: readonly (readonly [string, unknown])[], indent: number): string {
  return entries.map(([key, value]) => writePair(key, value, indent)).join(`\n${spaces(indent)}`);
}

function writeList(items: readonly unknown[], indent: number): string {
  return items.map((item) => `- ${writeCollection(item, indent + 2) ?? writeLeaf(item, indent)}`).join(`\n${spaces(indent)}`);
}

function writePair(key: string, value: unknown, indent: number): string {
  const collection = writeCollection(value, indent + 2);
  // the emitter's rule for a key on one line with its value
  if (!/[\n\r\u0085\u2028\u2029]/.test(key) && Buffer.byteLength(key) <= 128) {
    const name = writeScalar(key, scalarStyle(key, 'key'), indent);
    return collection === undefined ? `${name}: ${writeLeaf(value, indent)}` : `${name}:\n${spaces(indent + 2)}${collection}`;
  }
  return `? ${writeText(key, indent)}\n${spaces(indent)}: ${collection ?? writeLeaf(value, indent)}`;
}

/** The lines of a map or list that has entries; undefined for all that fits after a colon. */
function writeCollection(value: unknown, indent: number): string | undefined {
  if (Array.isArray(value)) return value.length === 0 ? undefined : writeList(value, indent);
  if (typeof value !== 'object' || value === null || value instanceof FlowList) return undefined;
  // maps are free-form parameters; plain objects are structs, in their own order
  const entries: [string, unknown][] =
    value instanceof Map
      ? [...(value as Map<string, unknown>)].toSorted(([a], [b]) => compareNatural(a, b))
      : structEntries(value as Fields);
  return entries.length === 0 ? undefined : writeMap(entries, indent);
}

function structEntries(fields: Fields): [string, unknown][] {
  return Object.entries(fields).map(([key, value]) => [key, key === 'authors' ? new FlowList(value as string[]) : value]);
}

function writeLeaf(value: unknown, indent: number): string {
  if (typeof value === 'string') return writeText(value, indent);
  if (typeof value === 'number') return writeNumber(value);
  if (value instanceof FlowList) return `[${value.items.map((item) => writeScalar(item, scalarStyle(item, 'flow'), indent)).join(', ')}]`;
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? '[]' : '{}';
  return `${value as null | boolean | bigint}`;
}

function writeText(text: string, indent: number): string {
  return writeScalar(text, scalarStyle(text, 'block'), indent);
}

/** Integers in full; other numbers the shortest that reads back the same, with Go's two digits of exponent. */
function writeNumber(value: number): string {
  if (Object.is(value, -0)) return '-0.0';
  const magnitude = Math.abs(value);
  if (magnitude === 0 || (magnitude >= 1e-4 && magnitude < 1e21)) return `${value}`;
  return value.toExponential().replace(/e([+-])(\d)$/, 'e$10$2');
}
