import { compareBytes, type JsonValue } from '../oci/json.ts';
import { pythonNumber } from './python-json.ts';

/**
 * The text of PyYAML's `yaml.dump(value, default_flow_style=False)`: block style, keys sorted, ASCII only. Long lines are not folded.
 */
export function pythonYaml(value: JsonValue): string {
  return `${isFilled(value) ? block(value, 0) : leaf(value)}\n`;
}

type Filled = JsonValue[] | { [key: string]: JsonValue };

function isFilled(value: JsonValue): value is Filled {
  return value !== null && typeof value === 'object' && Object.keys(value).length > 0;
}

// items of a list in a map are not indented, those of a list in a list are
function block(value: Filled, indent: number): string {
  const lines = Array.isArray(value)
    ? value.map((item) => `- ${isFilled(item) ? block(item, indent + 2) : leaf(item)}`)
    : Object.keys(value)
        .toSorted(compareBytes)
        .map((key) => {
          const item = value[key] as JsonValue;
          const name = key.length > 120 ? `? ${scalar(key)}\n${' '.repeat(indent)}` : scalar(key);
          if (!isFilled(item)) return `${name}: ${leaf(item)}`;
          const inner = Array.isArray(item) ? indent : indent + 2;
          return `${name}:\n${' '.repeat(inner)}${block(item, inner)}`;
        });
  return lines.join(`\n${' '.repeat(indent)}`);
}

function leaf(value: JsonValue): string {
  if (typeof value === 'string') return scalar(value);
  if (typeof value === 'number') return pythonNumber(value).replace(/^(-?\d+)e/, '$1.0e');
  if (value !== null && typeof value === 'object') return Array.isArray(value) ? '[]' : '{}';
  return String(value);
}

/** What YAML 1.1 takes for something else than text when it stands without quotes. */
const RESOLVED = [
  /^(?:yes|no|true|false|on|off|null)$/i,
  /^[-+]?(?:0b[0-1_]+|0x[0-9a-fA-F_]+|0[0-7_]*|[1-9][0-9_]*)$/,
  /^[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?$/,
  /^[-+]?(?:[0-9][0-9_]*)\.[0-9_]*(?:[eE][-+][0-9]+)?$/,
  /^\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?$/,
  /^[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*$/,
  /^[-+]?\.inf$|^\.nan$/i,
  /^\d{4}-\d\d?-\d\d?(?:$|[Tt ])/,
  /^(?:|~|=|<<)$/,
];

function scalar(text: string): string {
  if (/[^\n\x20-\x7e]/.test(text) || text.includes('\n')) return doubleQuoted(text);
  if (RESOLVED.some((pattern) => pattern.test(text)) || !isPlain(text)) return `'${text.replaceAll("'", "''")}'`;
  return text;
}

function isPlain(text: string): boolean {
  if (/^\s|\s$/.test(text) || /^(?:---|\.\.\.)/.test(text)) return false;
  if (/^[#,[\]{}&*!|>'"%@`]/.test(text) || /^[-?:](?:\s|$)/.test(text)) return false;
  return !/:(?:\s|$)| #/.test(text);
}

const ESCAPES: Readonly<Record<string, string>> = {
  '\0': '\\0',
  '\u0007': '\\a',
  '\b': '\\b',
  '\t': '\\t',
  '\n': '\\n',
  '\v': '\\v',
  '\f': '\\f',
  '\r': '\\r',
  '\u001b': '\\e',
  '"': '\\"',
  '\\': '\\\\',
  '\u0085': '\\N',
  '\u00a0': '\\_',
  '\u2028': '\\L',
  '\u2029': '\\P',
};

function doubleQuoted(text: string): string {
  return `"${Array.from(text, escaped).join('')}"`;
}

function escaped(char: string): string {
  const known = ESCAPES[char];
  if (known !== undefined) return known;
  const code = char.codePointAt(0) ?? 0;
  if (code >= 0x20 && code <= 0x7e) return char;
  const hex = code.toString(16).toUpperCase();
  if (code <= 0xff) return `\\x${hex.padStart(2, '0')}`;
  return code <= 0xffff ? `\\u${hex.padStart(4, '0')}` : `\\U${hex.padStart(8, '0')}`;
}
