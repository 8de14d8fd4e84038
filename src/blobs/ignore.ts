import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import dockerignore from '@balena/dockerignore';
import { asPathError } from './path-error.ts';

export const IGNORE_FILE = '.kitignore';

/** Rules of a `.kitignore`: .dockerignore syntax, last match wins. */
export interface IgnoreRules {
  /** `path` is relative to the context, with `/`. */
  ignores(path: string): boolean;
  /** With `!` patterns, files below an ignored directory may still be wanted. */
  readonly hasExceptions: boolean;
}

/** @throws KitError PATH_UNREADABLE when the file is there but cannot be read */
export async function readIgnoreFile(directory: string, always: readonly string[] = []): Promise<IgnoreRules> {
  const path = join(directory, IGNORE_FILE);
  let text = '';
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw asPathError(error, path);
  }
  return parseIgnore(text, always);
}

/** `always` holds patterns that come after those of `text` and so cannot be undone by it. */
export function parseIgnore(text: string, always: readonly string[] = []): IgnoreRules {
  const patterns = [...text.replace(/^\uFEFF/, '').split(/\r?\n/), ...always].filter((line) => !line.startsWith('#'));
  const rules = dockerignore.default({ ignorecase: false });
  rules.add(patterns.map(escapePattern));
  // its cache is a plain object, in which a file named `constructor` is always found
  (rules as unknown as { _cache: object })._cache = Object.create(null) as object;
  return { ignores: (path) => rules.ignores(path), hasExceptions: patterns.some((line) => line.trim().startsWith('!')) };
}

// these mean nothing in .dockerignore, but the library hands them to its regular expression as they are
function escapePattern(pattern: string): string {
  return pattern.replaceAll(/(?<!\\)[+(){}|]/g, String.raw`\$&`);
}
