import { type ErrorCode, KitError } from '../errors.ts';

/** The text of a Kitfile, or of another YAML file, and the name that messages give it. */
export interface SourceText {
  readonly file: string;
  readonly text: string;
  /** Of errors in it. Default KITFILE_INVALID. */
  readonly code?: ErrorCode;
}

/** Both count from 1; columns are code points. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

/** Something wrong at one place of a source text. */
export interface Problem {
  /** UTF-16 offset in the text. */
  readonly offset: number;
  readonly message: string;
  readonly hint?: string | undefined;
}

const MAX_PROBLEMS = 10;
const MAX_LINE = 100;
const LINE_BREAK = /\r\n|\n|\r/g;

export function positionAt(text: string, offset: number): Position {
  const before = text.slice(0, offset);
  const breaks = [...before.matchAll(LINE_BREAK)];
  const last = breaks.at(-1);
  const start = last === undefined ? 0 : last.index + last[0].length;
  return { line: breaks.length + 1, column: Array.from(before.slice(start)).length + 1 };
}

/** One error for all problems, in the order of the text: `FILE:LINE:COLUMN: message`, the source line and a caret. */
export function sourceError(source: SourceText, problems: readonly Problem[], cause?: unknown): KitError {
  const sorted = problems.toSorted((a, b) => a.offset - b.offset);
  const shown = sorted.slice(0, MAX_PROBLEMS).map((problem) => describeProblem(source, problem));
  if (sorted.length > shown.length) shown.push(`and ${sorted.length - shown.length} more`);
  const hint = sorted.find((problem) => problem.hint !== undefined)?.hint;
  return new KitError(source.code ?? 'KITFILE_INVALID', shown.join('\n'), { ...(hint === undefined ? {} : { hint }), cause });
}

function describeProblem(source: SourceText, { offset, message }: Problem): string {
  const { line, column } = positionAt(source.text, offset);
  const number = `${line}`;
  const { text, caret } = excerpt(source.text.split(/\r\n|\n|\r/)[line - 1] ?? '', column);
  return `${source.file}:${line}:${column}: ${message}\n  ${number} | ${text}\n  ${' '.repeat(number.length)} | ${caret}^`;
}

/** The part of a line around `column` that fits a terminal, and what puts a caret below that column. */
function excerpt(line: string, column: number): { text: string; caret: string } {
  const points = Array.from(line);
  const from = points.length <= MAX_LINE ? 0 : Math.max(0, Math.min(column - 1 - MAX_LINE / 2, points.length - MAX_LINE));
  const visible = points.slice(from, from + MAX_LINE).map((point) => (isControl(point) && point !== '\t' ? '\uFFFD' : point));
  return {
    text: visible.join(''),
    caret: visible
      .slice(0, column - 1 - from)
      .map((point) => (point === '\t' ? '\t' : ' '))
      .join(''),
  };
}

/** Text from a file as a message may show it: short, without control characters (which could steer a terminal). */
export function quoteText(text: string): string {
  const points = Array.from(text);
  const visible = points
    .slice(0, 60)
    .map((point) => (isControl(point) ? `\\u${(point.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}` : point));
  return `\`${visible.join('')}${points.length > 60 ? '…' : ''}\``;
}

function isControl(point: string): boolean {
  return /[\p{Cc}\p{Bidi_Control}\u2028\u2029]/u.test(point);
}
