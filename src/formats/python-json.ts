import type { JsonValue } from '../oci/json.ts';

/** The text of Python's `json.dumps(value)`, or of `json.dumps(value, indent=N)`: ASCII only, keys in the order given. */
export function pythonJson(value: JsonValue, indent = 0): string {
  return write(value, indent, '\n');
}

function write(value: JsonValue, indent: number, newline: string): string {
  if (typeof value === 'string') return quoted(value);
  if (value === null || typeof value === 'boolean' || typeof value === 'bigint') return String(value);
  if (typeof value === 'number') return pythonNumber(value);
  const inner = newline + ' '.repeat(indent);
  const items = Array.isArray(value)
    ? value.map((item) => write(item, indent, inner))
    : Object.entries(value).map(([key, item]) => `${quoted(key)}: ${write(item, indent, inner)}`);
  const [open, close] = Array.isArray(value) ? '[]' : '{}';
  if (items.length === 0) return `${open}${close}`;
  return indent === 0 ? `${open}${items.join(', ')}${close}` : `${open}${inner}${items.join(`,${inner}`)}${newline}${close}`;
}

function quoted(text: string): string {
  return JSON.stringify(text).replaceAll(/[\u007f-\uffff]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** The shortest digits that mean the number, as `repr` has them: an exponent below 1e-4, with two digits at least. */
export function pythonNumber(value: number): string {
  if (Number.isInteger(value) && Math.abs(value) < 1e21) return Object.is(value, -0) ? '-0.0' : BigInt(value).toString();
  const text = Math.abs(value) < 1e-4 ? value.toExponential() : String(value);
  return text.replace(/e([+-])(\d)$/, 'e$10$2');
}
