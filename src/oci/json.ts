/** A JSON value whose integers are exact: beyond 2^53 they are bigints. */
export type JsonValue = null | boolean | number | bigint | string | JsonValue[] | { [key: string]: JsonValue };

const INTEGER = /^-?\d{16,40}$/;

/**
 * V8 of Node 24.21 now and then reads a key that is one escaped character, such as `"\u00e9"`, as `\`: it is given the character itself.
 * Control characters, quotes, backslashes and halves of surrogate pairs cannot be.
 */
function withoutEscapedKeys(text: string): string {
  if (!/"\\u[0-9a-fA-F]{4}"/.test(text)) return text;
  return text.replaceAll(/"(?:[^"\\]|\\.)*"/gs, (token) => {
    const [, hex] = /^"\\u([0-9a-fA-F]{4})"$/.exec(token) ?? [];
    if (hex === undefined) return token;
    const code = Number.parseInt(hex, 16);
    const mustStay = code < 0x20 || code === 0x22 || code === 0x5c || (code >= 0xd800 && code <= 0xdfff);
    return mustStay ? token : `"${String.fromCharCode(code)}"`;
  });
}

/** Parses JSON without losing digits of large integers. @throws SyntaxError */
export function parseExactJson(source: string): JsonValue {
  const text = withoutEscapedKeys(source);
  // looking at each value takes ten times as long
  if (!/\d{16}/.test(text)) return JSON.parse(text) as JsonValue;
  return JSON.parse(text, function reviveExact(_key, value: unknown, context?: { source?: string }) {
    if (typeof value !== 'number' || context?.source === undefined) return value;
    return !Number.isSafeInteger(value) && INTEGER.test(context.source) ? BigInt(context.source) : value;
  }) as JsonValue;
}

/** A number in a form that JavaScript would not write: `1.0`, `7e9`, more digits than it has. */
export class VerbatimNumber {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** Parses JSON so that every number can be written again as it was. @throws SyntaxError */
export function parseVerbatimJson(source: string): unknown {
  return JSON.parse(withoutEscapedKeys(source), function reviveVerbatim(_key, value: unknown, context?: { source?: string }) {
    if (typeof value !== 'number' || context?.source === undefined) return value;
    return String(value) === context.source ? value : new VerbatimNumber(context.source);
  });
}

/** Objects as maps in byte order of their keys, as Go marshals maps (a JS object would put `9` before `10`). */
export function sortedMaps(value: JsonValue): unknown {
  if (Array.isArray(value)) return value.map(sortedMaps);
  if (value === null || typeof value !== 'object') return value;
  const keys = Object.keys(value).toSorted(compareBytes);
  return new Map(keys.map((key) => [key, sortedMaps(value[key] as JsonValue)]));
}

/** Order of the UTF-8 bytes, which is Go's string order (UTF-16 order differs beyond the BMP). */
export function compareBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

/**
 * The text that Go's `json.Marshal` (or `MarshalIndent` with `indent` spaces) writes for the same value:
 * `<`, `>`, `&` and the line separators escaped, integers exact, keys in the order given, absent fields left out.
 */
export function stringifyLikeGo(value: unknown, indent = 0): string {
  return write(value, indent, '\n');
}

/** JSON as people read it: integers exact, nothing escaped that JSON does not ask for. */
export function stringifyExact(value: unknown, indent = 0): string {
  return write(value, indent, '\n', JSON.stringify);
}

function write(value: unknown, indent: number, newline: string, text: (text: string) => string = goString): string {
  if (value === null || value === undefined) return 'null';
  if (typeof value === 'string') return text(value);
  if (typeof value === 'number') return Object.is(value, -0) ? '-0' : JSON.stringify(value);
  if (typeof value === 'boolean' || typeof value === 'bigint') return value.toString();
  if (typeof value !== 'object') throw new TypeError(`${typeof value} has no JSON form`);
  if (value instanceof VerbatimNumber) return value.text;
  const inner = indent > 0 ? newline + ' '.repeat(indent) : '';
  const outer = indent > 0 ? newline : '';
  if (Array.isArray(value)) {
    if (value.length === 0) return '[]';
    return `[${value.map((item) => inner + write(item, indent, inner, text)).join(',')}${outer}]`;
  }
  const entries = (value instanceof Map ? [...(value as Map<string, unknown>)] : Object.entries(value)).filter(
    ([, item]) => item !== undefined,
  );
  if (entries.length === 0) return '{}';
  const colon = indent > 0 ? ': ' : ':';
  return `{${entries.map(([key, item]) => inner + text(key) + colon + write(item, indent, inner, text)).join(',')}${outer}}`;
}

const ESCAPES: Readonly<Record<string, string>> = {
  '<': '\\u003c',
  '>': '\\u003e',
  '&': '\\u0026',
  '\u2028': '\\u2028',
  '\u2029': '\\u2029',
};

function goString(text: string): string {
  // a lone surrogate is no UTF-8; Go writes the replacement character for it
  return JSON.stringify(text.toWellFormed()).replaceAll(/[<>&\u2028\u2029]/g, (char) => ESCAPES[char] ?? char);
}
