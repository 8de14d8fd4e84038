import { readdir, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import * as z from 'zod';
import { asPathError } from '../../blobs/path-error.ts';
import { KitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import { parseStrictYaml } from '../../kitfile/strict-yaml.ts';
import { type Location, parseLocation } from '../../oci/reference.ts';
import { MAX_POLICY_BYTES } from '../../policy/parse-policy.ts';
import type { Kit } from '../kit.ts';
import { checkPolicy, judgeDocument, type PolicyResult } from './policy.ts';
import { plainJson, readDocuments } from './documents.ts';
import { openPolicy, readLimited } from './open.ts';

const texts = z.array(z.string());
const testCase = z
  .strictObject({
    name: z.string(),
    input: z.unknown().optional(),
    inputFile: z.string().optional(),
    artifact: z.string().optional(),
    expect: z.enum(['pass', 'fail'], 'pass or fail'),
    broken: texts.optional(),
  })
  .refine(
    ({ input, inputFile, artifact }) => [input, inputFile, artifact].filter((one) => one !== undefined).length === 1,
    'a case with one of input, inputFile, artifact',
  )
  .refine(({ expect, broken }) => broken === undefined || expect === 'fail', 'a case that names broken rules and expects `fail`');

const TEST = {
  code: 'POLICY_INVALID',
  noun: 'a test of a policy',
  schema: z.strictObject({
    version: z.literal('1', '1'),
    policy: z.string(),
    cases: z.array(testCase).min(1, 'a list with a case at least'),
  }),
  isFree: (path: readonly (string | number)[]) => path.length === 3 && path[0] === 'cases' && path[2] === 'input',
  maxBytes: MAX_POLICY_BYTES,
  start: 'docs/policy.md has one to begin with',
} as const;

const TEST_FILE = /[._-]test\.ya?ml$/;

export interface PolicyCase {
  readonly file: string;
  readonly name: string;
  readonly passed: boolean;
  /** Why it has not passed. */
  readonly message?: string;
  /** Rules that were broken, as was expected or not. */
  readonly broken: readonly string[];
}

/**
 * Runs the tests of policies: files that are named, and those called `*_test.yaml` below folders.
 * @throws KitError POLICY_INVALID, PATH_NOT_FOUND also for a folder without tests
 */
export async function testPolicies(kit: Kit, paths: readonly string[], call: CallOptions = {}): Promise<PolicyCase[]> {
  const files = (await Promise.all(paths.map(testFiles))).flat();
  const results: PolicyCase[] = [];
  for (const file of files) results.push(...(await runFile(kit, file, call)));
  return results;
}

async function testFiles(path: string): Promise<string[]> {
  try {
    if (!(await stat(path)).isDirectory()) return [path];
    const names = (await readdir(path, { recursive: true })).filter((name) => TEST_FILE.test(name)).toSorted();
    if (names.length > 0) return names.map((name) => join(path, name));
  } catch (error) {
    throw asPathError(error, path);
  }
  throw new KitError('PATH_NOT_FOUND', `${path} holds no tests of policies`, {
    hint: 'they are called *_test.yaml; `--input FILE` or `--against REFERENCE` judges something by one policy',
  });
}

async function runFile(kit: Kit, file: string, call: CallOptions): Promise<PolicyCase[]> {
  const { value } = parseStrictYaml((await readLimited(file, MAX_POLICY_BYTES)).toString('utf8'), file, TEST);
  const directory = dirname(resolve(file));
  const policy = resolve(directory, value.policy);
  const results: PolicyCase[] = [];
  for (const one of value.cases)
    results.push({ file, name: one.name, ...compare(one, await judgeCase(kit, { policy, directory }, one, call)) });
  return results;
}

type Case = z.infer<typeof testCase>;

/** The result for an artifact, or for each document of the input. */
async function judgeCase(
  kit: Kit,
  { policy, directory }: { readonly policy: string; readonly directory: string },
  { input, inputFile, artifact }: Case,
  call: CallOptions,
): Promise<readonly PolicyResult[]> {
  if (artifact !== undefined) {
    const report = await checkPolicy(kit, { location: below(directory, parseLocation(artifact)), policies: [policy] }, call);
    return report.policies;
  }
  const open = await openPolicy(policy);
  const documents = inputFile === undefined ? [{ value: plainJson(input) }] : await readDocuments(resolve(directory, inputFile));
  if (documents.length === 0)
    throw new KitError('POLICY_INVALID', `${inputFile ?? ''} is an empty list: the case would hold whatever the policy says`, {
      hint: 'name a file with something to judge',
    });
  const results: PolicyResult[] = [];
  for (const { value } of documents) results.push(await judgeDocument(kit, open, value, call));
  return results;
}

/** Layouts and archives lie beside the test. */
function below(directory: string, location: Location): Location {
  return location.type === 'reference' ? location : { ...location, path: resolve(directory, location.path) };
}

function compare({ expect, broken: expected }: Case, results: readonly PolicyResult[]): Omit<PolicyCase, 'file' | 'name'> {
  const failed = results.flatMap(({ rules }) => rules.filter(({ passed }) => !passed));
  const broken = [...new Set(failed.map(({ rule }) => rule))].toSorted();
  const problem = (): string | undefined => {
    if (expect === 'pass')
      return broken.length === 0 ? undefined : failed.map(({ rule, message = '' }) => `${rule}: ${message}`).join('; ');
    if (broken.length === 0) return 'every rule holds, and one was expected to be broken';
    const wanted = expected?.toSorted();
    if (wanted === undefined || JSON.stringify(wanted) === JSON.stringify(broken)) return undefined;
    return `broken are ${broken.join(', ')}, expected were ${wanted.join(', ')}`;
  };
  const message = problem();
  return { passed: message === undefined, ...(message !== undefined && { message }), broken };
}

/** @throws KitError POLICY_TEST_FAILED naming each case that has not passed */
export function requireTests(cases: readonly PolicyCase[]): void {
  const failed = cases.filter(({ passed }) => !passed);
  if (failed.length === 0) return;
  const lines = failed.map(({ file, name, message = '' }) => `\n  ${file}: ${name}: ${message}`);
  throw new KitError('POLICY_TEST_FAILED', `${failed.length} of ${cases.length} cases failed${lines.join('')}`, {
    hint: 'correct the policy, or what the case expects',
  });
}
