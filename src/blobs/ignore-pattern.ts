import { posix } from 'node:path';

/** One rule of a `.kitignore`. */
export interface IgnorePattern {
  /** `!`: what matches is kept. */
  readonly negated: boolean;
  /** Matches a path, and everything below a path, that the pattern names. */
  readonly regExp: RegExp;
}

type Token =
  | { readonly type: 'char'; readonly char: string; readonly escaped?: boolean }
  | { readonly type: 'regExp'; readonly source: string };

/**
 * The rule that a line gives, as moby/patternmatcher (docker build, KitOps) reads it; undefined for a comment or blank line.
 * A backslash takes the meaning from any character, where moby hands `\d` or `a|*` to its regular expressions by accident.
 * @throws SyntaxError where moby refuses the pattern
 */
export function parseIgnorePattern(line: string): IgnorePattern | undefined {
  if (line.startsWith('#')) return undefined;
  const trimmed = line.trim();
  if (trimmed === '') return undefined;
  const bang = trimmed.startsWith('!');
  const text = bang ? trimmed.slice(1).trim() : trimmed;
  const cleaned = clean(text);
  // `/!a` and `./!a` are exceptions to moby too
  const negated = bang || cleaned.startsWith('!');
  const pattern = negated && !bang ? cleaned.slice(1) : cleaned;
  if (text === '' || pattern === '' || (bang && pattern === '/')) throw new SyntaxError('`!` without a pattern');
  return { negated, regExp: new RegExp(`^${translate(pattern)}(?:/.*)?$`, 'su') };
}

// a leading slash means the context, where every pattern is anchored anyway
function clean(text: string): string {
  const path = posix.normalize(text);
  const start = path.length > 1 && path.startsWith('/') ? 1 : 0;
  return path.slice(start, path.length > 1 && path.endsWith('/') ? -1 : undefined) || '/';
}

function translate(pattern: string): string {
  // moby compares the end of the path when only plain characters follow: `**tmp` matches `x.tmp`
  const afterStars = pattern.startsWith('**') ? tokenize(pattern.slice(2)) : undefined;
  if (afterStars && !pattern.startsWith('**/') && afterStars.every((token) => token.type === 'char' && token.escaped !== true)) {
    return `.*${afterStars.map(sourceOf).join('')}`;
  }
  return tokenize(pattern).map(sourceOf).join('');
}

function sourceOf(token: Token): string {
  return token.type === 'regExp' ? token.source : token.char.replace(/[\^$\\.*+?()[\]{}|/]/, String.raw`\$&`);
}

function tokenize(pattern: string): Token[] {
  const chars = Array.from(pattern);
  const tokens: Token[] = [];
  for (let at = 0; at < chars.length; at++) {
    const char = chars[at] as string;
    if (char === '*' && chars[at + 1] === '*') {
      at += chars[at + 2] === '/' ? 2 : 1;
      tokens.push({ type: 'regExp', source: at + 1 === chars.length ? '.*' : '(?:.*/)?' });
    } else if (char === '*') tokens.push({ type: 'regExp', source: '[^/]*' });
    else if (char === '?') tokens.push({ type: 'regExp', source: '[^/]' });
    else if (char === '[') {
      const end = endOfClass(chars, at, pattern);
      tokens.push({ type: 'regExp', source: classSource(chars.slice(at + 1, end)) });
      at = end;
    } else if (char === '\\') {
      at += 1;
      tokens.push({ type: 'char', char: chars[at] ?? fail(pattern, 'ends in a backslash'), escaped: true });
    } else tokens.push({ type: 'char', char });
  }
  return tokens;
}

// `[` has no meaning inside, and `]` or `-` cannot come where a member is expected (Go's path/filepath.Match)
function endOfClass(chars: readonly string[], start: number, pattern: string): number {
  let at = start + (chars[start + 1] === '^' ? 2 : 1);
  for (let members = 0; at < chars.length; members++) {
    if (chars[at] === ']' && members > 0) return at;
    at = endOfMember(chars, at, pattern);
    if (chars[at] === '-') at = endOfMember(chars, at + 1, pattern);
  }
  return fail(pattern, 'has a `[` that is never closed');
}

function endOfMember(chars: readonly string[], at: number, pattern: string): number {
  if (chars[at] === '-' || chars[at] === ']') fail(pattern, `has a \`${chars[at]}\` at a wrong place between \`[\` and \`]\``);
  return at + (chars[at] === '\\' ? 2 : 1);
}

function classSource(members: readonly string[]): string {
  const negated = members[0] === '^';
  let source = '';
  for (let at = negated ? 1 : 0; at < members.length; at++) {
    const escaped = members[at] === '\\';
    if (escaped) at += 1;
    const char = members[at] ?? '';
    source += char === '-' && !escaped ? '-' : char.replace(/[\^$\\.*+?()[\]{}|/-]/, String.raw`\$&`);
  }
  return `[${negated ? '^' : ''}${source}]`;
}

function fail(pattern: string, why: string): never {
  throw new SyntaxError(`the pattern \`${pattern}\` ${why}`);
}
