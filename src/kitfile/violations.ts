import type { $ZodIssue } from 'zod/v4/core';

import { stringifyExact } from '../oci/json.ts';
import { quoteText } from './source-text.ts';

/** One violation of the schema in words. With `unknownField` it is about that name at `path`, else about the value there. */
export interface Violation {
  readonly path: readonly (string | number)[];
  readonly unknownField?: string;
  readonly message: string;
}

/** Zod's issues with the value that they are about, in the words of an author. `noun` is what the whole is called. */
export function violations(issues: readonly $ZodIssue[], value: unknown, noun = 'a Kitfile'): Violation[] {
  return issues.flatMap((issue): Violation[] => {
    const path = issue.path.filter((step) => typeof step !== 'symbol');
    if (issue.code === 'unrecognized_keys') {
      return issue.keys.map((key) => ({ path, unknownField: key, message: `unknown field ${quoteText(key)}${inField(path)}` }));
    }
    const expected = issue.code === 'invalid_type' ? (TYPE_WORDS[issue.expected] ?? issue.expected) : issue.message;
    const found = path.reduce<unknown>((at, step) => (at as Record<string | number, unknown> | undefined)?.[step], value);
    return [{ path, message: `${path.length === 0 ? noun : quoteText(formatPath(path))} must be ${expected}, found ${describe(found)}` }];
  });
}

const TYPE_WORDS: Readonly<Record<string, string>> = { string: 'text', array: 'a list', object: 'a map' };

function inField(path: readonly (string | number)[]): string {
  return path.length === 0 ? '' : ` in ${quoteText(formatPath(path))}`;
}

/** `datasets[0].path` */
function formatPath(path: readonly (string | number)[]): string {
  return path.map((step, index) => (typeof step === 'number' ? `[${step}]` : `${index === 0 ? '' : '.'}${step}`)).join('');
}

function describe(value: unknown): string {
  if (value === undefined || value === null) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a map';
  if (typeof value === 'string') return `the text ${quoteText(value)}`;
  return `the ${typeof value === 'bigint' ? 'number' : typeof value} ${stringifyExact(value)}`;
}
