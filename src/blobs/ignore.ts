import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { KitError } from '../errors.ts';
import { type IgnorePattern, parseIgnorePattern } from './ignore-pattern.ts';
import { asPathError } from './path-error.ts';

export const IGNORE_FILE = '.kitignore';

/** Rules of a `.kitignore`: .dockerignore syntax, last match wins. */
export interface IgnoreRules {
  /** `path` is relative to the context, with `/`. */
  ignores(path: string): boolean;
  /** With `!` patterns, files below an ignored directory may still be wanted. */
  readonly hasExceptions: boolean;
}

/** @throws KitError PATH_UNREADABLE when the file is there but cannot be read; CONFIG_INVALID when it holds a malformed pattern */
export async function readIgnoreFile(directory: string, always: readonly string[] = []): Promise<IgnoreRules> {
  const path = join(directory, IGNORE_FILE);
  let text = '';
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw asPathError(error, path);
  }
  return parseIgnore(text, always, path);
}

/**
 * `always` holds patterns that come after those of `text` and so cannot be undone by it.
 * @throws KitError CONFIG_INVALID, naming `file` and the line
 */
export function parseIgnore(text: string, always: readonly string[] = [], file = IGNORE_FILE): IgnoreRules {
  const lines = [...text.replace(/^\uFEFF/, '').split('\n'), ...always];
  const patterns = lines.flatMap((line, index) => parseLine(line, index + 1, file) ?? []);
  return {
    ignores(path) {
      let ignored = false;
      // only a rule that would change the answer is asked
      for (const { negated, regExp } of patterns) if (negated === ignored && regExp.test(path)) ignored = !negated;
      return ignored;
    },
    hasExceptions: patterns.some(({ negated }) => negated),
  };
}

function parseLine(line: string, number: number, file: string): IgnorePattern | undefined {
  try {
    return parseIgnorePattern(line);
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause;
    throw new KitError('CONFIG_INVALID', `${file}:${number}: ${cause.message}`, {
      cause,
      hint: 'write a backslash before a character that is meant as itself',
    });
  }
}
