import { resolveScalar } from './resolve-scalar.ts';

export type ScalarStyle = 'plain' | 'single' | 'double' | 'literal';

/** Where a scalar stands: in a block, in a flow collection (`[a, b]`), or as the key of a pair on one line. */
export type ScalarContext = 'block' | 'flow' | 'key';

// words and base 60 numbers of YAML 1.1, which other readers may take for booleans and numbers
const OLD_BOOLEAN = /^(?:y|Y|yes|Yes|YES|on|On|ON|n|N|no|No|NO|off|Off|OFF)$/;
const BASE_60 = /^[-+]?\d[\d_]*(?::[0-5]?\d)+(?:\.[\d_]*)?$/;
// what the emitter never writes raw; line breaks of YAML 1.1 too, because 1.1 and 1.2 readers disagree on them
const UNPRINTABLE = /[^\t\n\u{20}-\u{7E}\u{A0}-\u{2027}\u{202A}-\u{D7FF}\u{E000}-\u{FEFE}\u{FF00}-\u{FFFD}]/u;

/** The style in which yaml.v3 writes a string. */
export function scalarStyle(text: string, context: ScalarContext): ScalarStyle {
  if (UNPRINTABLE.test(text)) return 'double';
  if (text.includes('\n')) return context === 'block' && literalAllowed(text) ? 'literal' : 'double';
  if (meansSomethingElse(text) || (context === 'key' && text === '<<')) return 'double';
  if (plainAllowed(text, context === 'flow')) return 'plain';
  return text.includes('\t') ? 'double' : 'single';
}

function meansSomethingElse(text: string): boolean {
  return resolveScalar(text).tag !== '!!str' || OLD_BOOLEAN.test(text) || BASE_60.test(text);
}

/**
 * A literal block loses blanks before a line break and at the end; yaml.v3 loses a first empty line when it writes and
 * refuses a first tab when it reads.
 */
function literalAllowed(text: string): boolean {
  return !/ \n| $|^[\n\t]/.test(text);
}

function plainAllowed(text: string, flow: boolean): boolean {
  if (/^ | $|\t/.test(text)) return false;
  if (/^(?:---|\.\.\.)/.test(text) || /^[#,[\]{}&*!|>'"%@`]/.test(text) || /^[?:-](?: |$)/.test(text)) return false;
  if (/:(?: |$)| #/.test(text)) return false;
  return !flow || !/[,?[\]{}:]/.test(text);
}

/** The text in the given style, for a place at `indent` spaces; a literal block takes the lines below. */
export function writeScalar(text: string, style: ScalarStyle, indent: number): string {
  if (style === 'plain') return text;
  if (style === 'single') return `'${text.replaceAll("'", "''")}'`;
  return style === 'double' ? writeDouble(text) : writeLiteral(text, indent);
}

function writeLiteral(text: string, indent: number): string {
  const indicator = text.startsWith(' ') ? '2' : '';
  const chomping = text.endsWith('\n\n') ? '+' : text.endsWith('\n') ? '' : '-';
  const body = text.endsWith('\n') ? text.slice(0, -1) : text;
  const lines = body.split('\n').map((line) => (line === '' ? '' : `${' '.repeat(indent + 2)}${line}`));
  return `|${indicator}${chomping}\n${lines.join('\n')}`;
}

const ESCAPES: ReadonlyMap<string, string> = new Map([
  ['\0', '0'],
  ['\u0007', 'a'],
  ['\b', 'b'],
  ['\t', 't'],
  ['\n', 'n'],
  ['\v', 'v'],
  ['\f', 'f'],
  ['\r', 'r'],
  ['\u001B', 'e'],
  ['"', '"'],
  ['\\', '\\'],
  ['\u0085', 'N'],
  ['\u2028', 'L'],
  ['\u2029', 'P'],
]);

function writeDouble(text: string): string {
  const escaped = Array.from(text.toWellFormed(), (char) => {
    const letter = ESCAPES.get(char);
    if (letter !== undefined) return `\\${letter}`;
    return UNPRINTABLE.test(char) ? hexEscape(char.codePointAt(0) ?? 0) : char;
  });
  return `"${escaped.join('')}"`;
}

function hexEscape(point: number): string {
  const hex = point.toString(16).toUpperCase();
  if (point <= 0xff) return `\\x${hex.padStart(2, '0')}`;
  return point <= 0xff_ff ? `\\u${hex.padStart(4, '0')}` : `\\U${hex.padStart(8, '0')}`;
}
