import { isDeepStrictEqual } from 'node:util';
import { globToRegExp } from './pattern.ts';
import type { Condition } from './schema.ts';
import { broken, fewOf, held, type Verdict } from './verdict.ts';

/** The values that a JSONPath (RFC 9535) selects in a document. */
export type Query = (document: unknown, path: string) => readonly unknown[];

/** Longer texts are no names, licences or versions, and regular expressions may take their time. */
const MAX_TEXT = 4096;

/** `$.package.license` of `package.license`. */
export function fullPath(path: string): string {
  return path.startsWith('$') ? path : `$.${path}`;
}

/** What of a condition may take its time. */
export function patternsOf({ pattern, valueRegexp, path }: Condition): string[] {
  return [pattern, valueRegexp, path].filter((one) => one !== undefined);
}

/** What an entry of `conditions` or `kitfile` is called in messages. */
export function ruleName(section: string, { name, path }: Condition): string {
  return `${section}.${name ?? path}`;
}

export function judgeCondition(rule: string, condition: Condition, document: unknown, query: Query): Verdict {
  const problem = conditionProblem(condition, document, query);
  if (problem === undefined) return held(rule);
  return broken(rule, problem, condition.hint ?? 'what it says has to change, and the artifact to be made again');
}

/** Why the condition does not hold; undefined when it does. */
export function conditionProblem(condition: Condition, document: unknown, query: Query): string | undefined {
  const { path, exists, match = 'all' } = condition;
  const found = select(document, path, query);
  if (typeof found === 'string') return found;
  const present = found.filter((value) => value !== undefined && value !== null && value !== '');
  if (exists === false) return present.length === 0 ? undefined : `${path} is there: ${fewOf(present.map(show))}`;
  if (present.length === 0) return `${path} is missing or empty`;
  const problems = present.map((value) => valueProblem(condition, value));
  const wrong = problems.filter((problem) => problem !== undefined);
  if (wrong.length === 0 || (match === 'any' && wrong.length < problems.length)) return undefined;
  return `${path} ${fewOf([...new Set(wrong)])}`;
}

function select(document: unknown, path: string, query: Query): readonly unknown[] | string {
  try {
    return query(document, fullPath(path));
  } catch {
    // a document can be nested deeper than the stack
    return `${path} cannot be looked up: the document is nested too deeply`;
  }
}

type Check = (condition: Condition, value: unknown) => string | undefined;

// one line a word of the policy: what is not asked for holds
const CHECKS: readonly Check[] = [
  (asked, value) => (asked.equals === undefined || isSame(asked, value, asked.equals) ? undefined : `not ${show(asked.equals)}`),
  (asked, value) => (asked.notEquals === undefined || !isSame(asked, value, asked.notEquals) ? undefined : 'which is not allowed'),
  ({ in: list, ...asked }, value) =>
    list === undefined || list.some((one) => isSame(asked, value, one)) ? undefined : `not one of ${fewOf(list.map(show))}`,
  ({ notIn, ...asked }, value) => (notIn?.some((one) => isSame(asked, value, one)) === true ? 'which is not allowed' : undefined),
  (asked, value) => (asked.contains === undefined || contains(asked, value) ? undefined : `without ${show(asked.contains)}`),
  ({ pattern, ignoreCase }, value) =>
    pattern === undefined || isMatch(globToRegExp(pattern, ignoreCase === true ? 'iu' : 'u'), value) ? undefined : `not like ${pattern}`,
  ({ valueRegexp, ignoreCase }, value) =>
    valueRegexp === undefined || isMatch(wholeRegExp(valueRegexp, ignoreCase === true ? 'iu' : 'u'), value)
      ? undefined
      : `not like /${valueRegexp}/`,
  ({ min }, value) => (min === undefined || compare(value, min) >= 0 ? undefined : `less than ${show(min)}`),
  ({ max }, value) => (max === undefined || compare(value, max) <= 0 ? undefined : `more than ${show(max)}`),
];

function valueProblem(condition: Condition, value: unknown): string | undefined {
  const problem = CHECKS.map((check) => check(condition, value)).find((one) => one !== undefined);
  return problem === undefined ? undefined : `is ${show(value)}, ${problem}`;
}

/** Regular expressions of a policy match all of a text, never a part. @throws SyntaxError */
export function wholeRegExp(source: string, flags = 'u'): RegExp {
  return new RegExp(`^(?:${source})$`, flags);
}

function isMatch(expression: RegExp, value: unknown): boolean {
  if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'boolean') return false;
  const text = String(value);
  return text.length <= MAX_TEXT && expression.exec(text)?.[0] === text;
}

function isSame({ ignoreCase }: Pick<Condition, 'ignoreCase'>, value: unknown, wanted: unknown): boolean {
  if (ignoreCase === true && typeof value === 'string' && typeof wanted === 'string') return value.toLowerCase() === wanted.toLowerCase();
  return isDeepStrictEqual(value, wanted);
}

function contains(asked: Pick<Condition, 'ignoreCase' | 'contains'>, value: unknown): boolean {
  if (Array.isArray(value)) return value.some((one) => isSame(asked, one, asked.contains));
  if (typeof value !== 'string' || typeof asked.contains !== 'string') return false;
  return asked.ignoreCase === true ? value.toLowerCase().includes(asked.contains.toLowerCase()) : value.includes(asked.contains);
}

/** Numbers with numbers, texts with texts (dates are such); NaN for all else, which is neither less nor more. */
function compare(value: unknown, bound: number | string): number {
  if (typeof value === 'number' && typeof bound === 'number') return value - bound;
  if (typeof value !== 'string' || typeof bound !== 'string') return Number.NaN;
  return value < bound ? -1 : Number(value > bound);
}

function show(value: unknown): string {
  const json = JSON.stringify(value) ?? 'nothing';
  return `\`${json.length > 80 ? `${json.slice(0, 79).toWellFormed()}…` : json.replaceAll(/^"|"$/g, '')}\``;
}
