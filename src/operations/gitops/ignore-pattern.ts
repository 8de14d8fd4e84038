/** One rule in .gitignore syntax, relative to the directory of its file. */
export interface GitignorePattern {
  /** `!`: what matches is kept. */
  readonly negated: boolean;
  /** Ends in a slash. */
  readonly directoryOnly: boolean;
  readonly regExp: RegExp;
}

/** The rule of a line as gitignore(5) has it; undefined for a comment, a blank line, or a pattern that git never matches. */
export function parseGitignoreLine(line: string): GitignorePattern | undefined {
  if (line.startsWith('#')) return undefined;
  let text = withoutTrailingBlanks(line.replace(/\r$/, ''));
  const negated = text.startsWith('!');
  if (negated) text = text.slice(1);
  const directoryOnly = text.endsWith('/');
  if (directoryOnly) text = text.slice(0, -1);
  // a slash at the beginning or in the middle binds the pattern to the directory of the file
  const anchored = text.includes('/');
  if (text.startsWith('/')) text = text.slice(1);
  if (text === '') return undefined;
  const body = translate(text);
  if (body === undefined) return undefined;
  return { negated, directoryOnly, regExp: new RegExp(`^${anchored ? '' : '(?:.*/)?'}${body}$`, 'su') };
}

// a blank after a backslash stays
function withoutTrailingBlanks(line: string): string {
  const trimmed = line.replace(/ +$/, '');
  const backslashes = /\\*$/.exec(trimmed)?.[0].length ?? 0;
  return backslashes % 2 === 1 && trimmed.length < line.length ? `${trimmed} ` : trimmed;
}

function translate(pattern: string): string | undefined {
  const chars = Array.from(pattern);
  let source = '';
  for (let at = 0; at < chars.length; at++) {
    const char = chars[at] as string;
    if (char === '*') {
      const stars = starsAt(chars, at);
      source += stars.source;
      at += stars.length - 1;
    } else if (char === '?') source += '[^/]';
    else if (char === '[') {
      const set = classAt(chars, at);
      if (set === undefined) return undefined;
      source += set.source;
      at += set.length - 1;
    } else {
      if (char === '\\') at += 1;
      const literal = chars[at];
      if (literal === undefined) return undefined;
      source += literal.replace(/[\^$\\.*+?()[\]{}|/]/, String.raw`\$&`);
    }
  }
  return source;
}

interface Part {
  readonly source: string;
  /** Characters of the pattern. */
  readonly length: number;
}

/** Two stars or more mean directories only as a whole segment. */
function starsAt(chars: readonly string[], start: number): Part {
  let end = start;
  while (chars[end] === '*') end += 1;
  const length = end - start;
  const isSegment = length > 1 && (start === 0 || chars[start - 1] === '/') && (end === chars.length || chars[end] === '/');
  if (!isSegment) return { source: '[^/]*', length };
  if (end === chars.length) return { source: start === 0 ? '.*' : '.+', length };
  return { source: '(?:.*/)?', length: length + 1 };
}

const POSIX: Readonly<Record<string, string>> = {
  alnum: 'a-zA-Z0-9',
  alpha: 'a-zA-Z',
  blank: ' \\t',
  digit: '0-9',
  lower: 'a-z',
  punct: '!-\\/:-@\\[-`\\{-~',
  space: '\\s',
  upper: 'A-Z',
  xdigit: '0-9a-fA-F',
};

/** `[...]`; undefined where git takes it for broken. */
function classAt(chars: readonly string[], start: number): Part | undefined {
  let at = start + 1;
  const negated = chars[at] === '!' || chars[at] === '^';
  if (negated) at += 1;
  let source = '';
  for (let isFirst = true; isFirst || chars[at] !== ']'; isFirst = false) {
    const posix = /^\[:([a-z]*):\]/.exec(chars.slice(at, at + 12).join(''));
    if (posix !== null) {
      const members = POSIX[posix[1] ?? ''];
      if (members === undefined) return undefined;
      source += members;
      at += posix[0].length;
      continue;
    }
    const low = memberAt(chars, at);
    if (low === undefined) return undefined;
    at += low.length;
    const high = chars[at] === '-' && chars[at + 1] !== ']' ? memberAt(chars, at + 1) : undefined;
    if (high === undefined) source += escaped(low.source);
    else {
      at += 1 + high.length;
      // an empty range holds nothing
      if (low.source <= high.source) source += `${escaped(low.source)}-${escaped(high.source)}`;
    }
  }
  const length = at + 1 - start;
  if (source === '') return { source: negated ? '[^/]' : '(?!)', length };
  return { source: negated ? `(?!/)[^${source}]` : `(?!/)[${source}]`, length };
}

function memberAt(chars: readonly string[], at: number): Part | undefined {
  const isEscaped = chars[at] === '\\';
  const char = chars[isEscaped ? at + 1 : at];
  return char === undefined ? undefined : { source: char, length: isEscaped ? 2 : 1 };
}

function escaped(member: string): string {
  return member.replace(/[\^$\\.*+?()[\]{}|/-]/, String.raw`\$&`);
}
