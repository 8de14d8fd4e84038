import { parseTimestamp } from './timestamp.ts';

/** What a scalar means, by the rules of Go's yaml.v3 (YAML 1.2 with the octals of 1.1, no yes/no booleans, no base 60). */
export interface Resolved {
  readonly tag: string;
  /** NaN and infinities too: JSON has none, so the caller decides. */
  readonly value: null | boolean | number | bigint | string;
}

const WORDS: ReadonlyMap<string, Resolved> = new Map<string, Resolved>([
  ...['', '~', 'null', 'Null', 'NULL'].map((word): [string, Resolved] => [word, { tag: '!!null', value: null }]),
  ...['true', 'True', 'TRUE'].map((word): [string, Resolved] => [word, { tag: '!!bool', value: true }]),
  ...['false', 'False', 'FALSE'].map((word): [string, Resolved] => [word, { tag: '!!bool', value: false }]),
  ...['.nan', '.NaN', '.NAN'].map((word): [string, Resolved] => [word, { tag: '!!float', value: Number.NaN }]),
  ...['.inf', '.Inf', '.INF'].flatMap((word): [string, Resolved][] => [
    [word, { tag: '!!float', value: Infinity }],
    [`+${word}`, { tag: '!!float', value: Infinity }],
    [`-${word}`, { tag: '!!float', value: -Infinity }],
  ]),
]);

const RESOLVABLE = new Set(['', '!!str', '!!bool', '!!int', '!!float', '!!null', '!!timestamp']);
const FLOAT = /^[-+]?(?:\.\d+|\d+(?:\.\d*)?)(?:[eE][-+]?\d+)?$/;
// Go's own float syntax, which yaml.v3 asks for when a dot comes first: underscores between digits only
const DOT_FLOAT = /^\.\d+(?:_\d+)*(?:[eE][-+]?\d+(?:_\d+)*)?$/;
const INTEGER = /^([-+]?)(0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO]?[0-7]+|[1-9]\d*|0)$/;
const MAX_UINT64 = 2n ** 64n - 1n;
const MIN_INT64 = -(2n ** 63n);

/**
 * Resolves the text of a plain or tagged scalar. An unknown tag leaves text.
 * @throws RangeError when the text does not fit an explicit tag (`!!int abc`); the message has no position.
 */
export function resolveScalar(text: string, tag = ''): Resolved {
  if (!RESOLVABLE.has(tag)) return { tag, value: text };
  if (tag === '!!str') return { tag, value: text };
  const found = resolveImplicit(text, tag === '' || tag === '!!timestamp');
  if (tag === '' || tag === found.tag) return found;
  if (tag === '!!float' && found.tag === '!!int' && typeof toInt64(found.value) === 'bigint') return { tag, value: Number(found.value) };
  throw new RangeError(`is not a value of the type ${tag}`);
}

function resolveImplicit(text: string, timestamps: boolean): Resolved {
  const word = WORDS.get(text);
  if (word !== undefined) return word;
  if (text.startsWith('.'))
    return (DOT_FLOAT.test(text) ? resolveFloat(text.replaceAll('_', '')) : undefined) ?? { tag: '!!str', value: text };
  if (!/^[-+0-9]/.test(text)) return { tag: '!!str', value: text };
  const time = timestamps ? parseTimestamp(text) : undefined;
  if (time !== undefined) return { tag: '!!timestamp', value: time };
  const digits = text.replaceAll('_', '');
  return resolveInteger(digits) ?? resolveFloat(digits) ?? { tag: '!!str', value: text };
}

function resolveInteger(digits: string): Resolved | undefined {
  const [, sign, body] = INTEGER.exec(digits) ?? [];
  if (body === undefined) return undefined;
  const octal = /^0[0-7]+$/.test(body) ? `0o${body.slice(1)}` : body;
  const magnitude = BigInt(octal);
  const value = sign === '-' ? -magnitude : magnitude;
  // Go: int64, or uint64 without a sign
  if (value < MIN_INT64 || value > MAX_UINT64 || (sign === '+' && toInt64(value) === undefined)) return undefined;
  const safe = value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER;
  return { tag: '!!int', value: safe ? Number(value) : value };
}

function resolveFloat(digits: string): Resolved | undefined {
  if (!FLOAT.test(digits)) return undefined;
  const value = Number(digits);
  return Number.isFinite(value) ? { tag: '!!float', value } : undefined;
}

function toInt64(value: Resolved['value']): bigint | undefined {
  if (typeof value !== 'number' && typeof value !== 'bigint') return undefined;
  const integer = BigInt(value);
  return integer >= MIN_INT64 && integer < 2n ** 63n ? integer : undefined;
}
