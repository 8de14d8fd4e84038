import { KitError } from '../errors.ts';

export type TokenType = 'name' | 'text' | 'number' | 'operator' | 'end';

export interface Token {
  readonly type: TokenType;
  /** As it stands in the expression. */
  readonly source: string;
  /** Of a text: without quotes and escapes. Of a number: its value. */
  readonly value: string | number | bigint;
  /** Where it begins, from 0. */
  readonly at: number;
}

const MAX_LENGTH = 4096;
const SPACE = /[ \t\r\n]+/y;
const NAME = /[\p{L}_][\p{L}\p{N}_]*(?:-[\p{L}\p{N}_]+)*/uy;
const NUMBER = /-?(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+)?/y;
/** Behind a number: bytes. */
const UNIT = /(?:[kKMGT]i?B|B)(?![\p{L}\p{N}_])/uy;
const TEXT = /"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'/sy;
const OPERATOR = /&&|\|\||==|!=|<=|>=|=~|!~|[<>!()[\].,*]/y;
const FACTORS: Readonly<Record<string, number>> = { B: 1, k: 1e3, K: 1e3, M: 1e6, G: 1e9, T: 1e12 };
const BINARY_FACTORS: Readonly<Record<string, number>> = { k: 2 ** 10, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 };
const ESCAPES: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r' };

/** The expression in parts, the last one of type `end`. @throws KitError QUERY_INVALID */
export function tokenize(text: string): Token[] {
  if (text.length > MAX_LENGTH) {
    throw new KitError('QUERY_INVALID', `the expression has ${text.length} characters, the limit is ${MAX_LENGTH}`, {
      hint: 'ask for less at once',
    });
  }
  const tokens: Token[] = [];
  for (let at = skipSpace(text, 0); at < text.length;) {
    const token = next(text, at, tokens.at(-1));
    tokens.push(token);
    at = skipSpace(text, at + token.source.length);
  }
  return [...tokens, { type: 'end', source: '', value: '', at: text.length }];
}

function next(text: string, at: number, last: Token | undefined): Token {
  const quoted = match(TEXT, text, at);
  if (quoted !== undefined) return { type: 'text', source: quoted, value: unquote(quoted), at };
  // behind a point comes a name, though it may begin with a digit
  const number = last?.source === '.' ? undefined : match(NUMBER, text, at);
  if (number !== undefined) return numberToken(text, at, number);
  const name = match(NAME, text, at) ?? (last?.source === '.' ? match(/[\p{L}\p{N}_-]+/uy, text, at) : undefined);
  if (name !== undefined) return { type: 'name', source: name, value: name, at };
  const operator = match(OPERATOR, text, at);
  if (operator !== undefined) return { type: 'operator', source: operator, value: operator, at };
  const char = String.fromCodePoint(text.codePointAt(at) ?? 0);
  if (char === '"' || char === "'") throw invalid(text, at, `the text that begins with ${char} has no end`);
  throw invalid(text, at, `\`${char}\` is not understood`, hintFor(char));
}

function hintFor(char: string): string | undefined {
  if (char === '=') return 'equality is written ==, and =~ matches a regular expression';
  if (char === '&' || char === '|') return 'and is written &&, or is written ||';
  return undefined;
}

function numberToken(text: string, at: number, number: string): Token {
  const unit = match(UNIT, text, at + number.length) ?? '';
  const factor = unit === '' ? 1 : (unit.includes('i') ? BINARY_FACTORS : FACTORS)[unit[0] ?? ''];
  const value = Number(number);
  const isLarge = unit === '' && /^-?\d+$/.test(number) && !Number.isSafeInteger(value);
  if (!Number.isFinite(value)) throw invalid(text, at, `\`${number}\` is too large a number`);
  return { type: 'number', source: number + unit, value: isLarge ? BigInt(number) : value * (factor ?? 1), at };
}

function match(pattern: RegExp, text: string, at: number): string | undefined {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0];
}

function skipSpace(text: string, at: number): number {
  return at + (match(SPACE, text, at)?.length ?? 0);
}

/** `\n`, `\t` and `\r` are what they are elsewhere; `\d` and the like stay, for they belong to patterns. */
function unquote(source: string): string {
  const quote = source[0] ?? '"';
  return source
    .slice(1, -1)
    .replaceAll(/\\(.)/gs, (escape, char: string) => ESCAPES[char] ?? (char === quote || char === '\\' ? char : escape));
}

const SHOWN = 60;

/** What is wrong, with the place pointed at. */
export function invalid(text: string, at: number, why: string, hint = 'docs/query.md has the language, with examples'): KitError {
  const start = Math.max(0, at - SHOWN);
  const part = text.slice(start, at + SHOWN).replaceAll(/\s/g, ' ');
  return new KitError('QUERY_INVALID', `expression, character ${at + 1}: ${why}\n${part}\n${' '.repeat(at - start)}^`, { hint });
}
