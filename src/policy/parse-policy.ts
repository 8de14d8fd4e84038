import { KitError } from '../errors.ts';
import type { FieldPath } from '../kitfile/construct.ts';
import { type Problem, sourceError } from '../kitfile/source-text.ts';
import { parseStrictYaml } from '../kitfile/strict-yaml.ts';
import { predicateTypeOf } from '../signing/predicate-types.ts';
import { fullPath, type Query, wholeRegExp } from './condition.ts';
import { globToRegExp } from './pattern.ts';
import { FREE_FIELDS, type Policy, policySchema, type Signer } from './schema.ts';
import { signerName } from './signers.ts';

export const MAX_POLICY_BYTES = 1024 * 1024;

const POLICY = {
  code: 'POLICY_INVALID',
  noun: 'a policy',
  schema: policySchema,
  isFree: (path: FieldPath) => FREE_FIELDS.has(String(path.at(-1))) && path.length > 2,
  maxBytes: MAX_POLICY_BYTES,
  start: 'docs/policy.md has one to begin with',
  hint: 'docs/policy.md says what may stand there',
} as const;

/** Reads a policy, down to its patterns and paths. @throws KitError POLICY_INVALID `FILE:LINE:COLUMN: what is wrong`, for every problem */
export function parsePolicy(text: string, file: string, query: Query): Policy {
  const { value, source, offset } = parseStrictYaml(text, file, POLICY);
  const problems: Problem[] = [];
  const check = (path: FieldPath, work: () => unknown): void => {
    try {
      work();
    } catch (error) {
      const { message, hint } = error as KitError;
      problems.push({ offset: offset(path), message, hint: error instanceof KitError ? hint : POLICY.hint });
    }
  };
  for (const [path, pattern] of patternsOf(value)) check(path, () => named(pattern, 'pattern', globToRegExp));
  for (const [path, pattern] of regexpsOf(value)) check(path, () => named(pattern, 'regular expression', wholeRegExp));
  for (const [path, expression] of pathsOf(value)) check(path, () => named(expression, 'JSONPath', (one) => query({}, fullPath(one))));
  for (const [index, { type }] of (value.attestations ?? []).entries()) check(['attestations', index, 'type'], () => predicateTypeOf(type));
  const names = new Map<string, string>();
  for (const [path, signer] of signersOf(value)) check(path, () => requireOneMeaning(names, signer));
  if (problems.length > 0) throw sourceError(source, problems);
  return value;
}

function named(text: string, what: string, compile: (text: string) => unknown): void {
  try {
    compile(text);
  } catch (cause) {
    throw new SyntaxError(`\`${text}\` is no ${what}: ${(cause as Error).message}`, { cause });
  }
}

/** A signature counts for the name of its key. @throws SyntaxError when two signers share one */
function requireOneMeaning(names: Map<string, string>, signer: Signer): void {
  const name = signerName(signer);
  const { key, publicKey, identity, identityRegexp, issuer, issuerRegexp } = signer;
  const meaning = JSON.stringify([key, publicKey, identity, identityRegexp, issuer, issuerRegexp]);
  if ((names.get(name) ?? meaning) !== meaning) throw new SyntaxError(`another signer has the name \`${name}\` already`);
  names.set(name, meaning);
}

type Placed<T> = readonly [FieldPath, T];

function patternsOf({ references, files, conditions = [], kitfile = [], attestations = [] }: Policy): Placed<string>[] {
  const lists = Object.entries({ references, files }).flatMap(([section, rules]) =>
    (['allow', 'deny'] as const).flatMap((list) =>
      (rules?.[list] ?? []).map((pattern, index): Placed<string> => [[section, list, index], pattern]),
    ),
  );
  return [...lists, ...conditionTexts({ conditions, kitfile, attestations }, 'pattern')];
}

function regexpsOf(policy: Policy): Placed<string>[] {
  const identities = signersOf(policy).flatMap(([path, signer]) =>
    (['identityRegexp', 'issuerRegexp'] as const).flatMap((name): Placed<string>[] => {
      const pattern = signer[name];
      return pattern === undefined ? [] : [[[...path, name], pattern]];
    }),
  );
  return [...identities, ...conditionTexts(policy, 'valueRegexp')];
}

function pathsOf(policy: Policy): Placed<string>[] {
  return conditionTexts(policy, 'path');
}

function conditionTexts(
  { conditions = [], kitfile = [], attestations = [] }: Pick<Policy, 'conditions' | 'kitfile' | 'attestations'>,
  field: 'path' | 'pattern' | 'valueRegexp',
): Placed<string>[] {
  const of = (at: FieldPath, list: NonNullable<Policy['conditions']>): Placed<string>[] =>
    list.flatMap((condition, index): Placed<string>[] => {
      const text = condition[field];
      return text === undefined ? [] : [[[...at, index, field], text]];
    });
  return [
    ...of(['conditions'], conditions),
    ...of(['kitfile'], kitfile),
    ...attestations.flatMap((rule, index) => of(['attestations', index, 'conditions'], rule.conditions ?? [])),
  ];
}

/** Every signer of a policy, with its place. */
export function signersOf({ signatures = [], attestations = [], sbom }: Policy): Placed<Signer>[] {
  const of = (at: FieldPath, signers: readonly Signer[]): Placed<Signer>[] =>
    signers.map((signer, index): Placed<Signer> => [[...at, 'signers', index], signer]);
  return [
    ...signatures.flatMap((rule, index) => of(['signatures', index], rule.signers)),
    ...attestations.flatMap((rule, index) => of(['attestations', index], rule.signers)),
    ...of(['sbom'], sbom?.signers ?? []),
  ];
}
