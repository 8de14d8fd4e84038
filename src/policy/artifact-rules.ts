import { judgeCondition, patternsOf, type Query, ruleName } from './condition.ts';
import { ageProblem } from './duration.ts';
import type { PolicyInput } from './input.ts';
import { canonicalName, concernsRepository, fileMatcher, matchesRepository } from './pattern.ts';
import type { Policy } from './schema.ts';
import { broken, fewOf, held, type Rule, type Verdict } from './verdict.ts';

/** Rules about the artifact itself: its name, format, age, Kitfile and files. */
export function artifactRules(policy: Policy, input: PolicyInput, query: Query): Rule[] {
  const { created, files, formats, kitfile = [], references } = policy;
  return [
    { name: 'references', patterns: patternsIn(references), judge: () => referenceVerdicts(references, input) },
    { name: 'formats', patterns: [], judge: () => (formats === undefined ? [] : [judgeFormat(formats, input)]) },
    { name: 'created', patterns: [], judge: () => (created === undefined ? [] : [judgeCreated(created.maxAge, input)]) },
    ...kitfile.map((condition): Rule => {
      const name = ruleName('kitfile', condition);
      return { name, patterns: patternsOf(condition), judge: () => [judgeKitfile(name, condition, input, query)] };
    }),
    { name: 'files', patterns: patternsIn(files), judge: () => fileVerdicts(files, input) },
  ];
}

function patternsIn(rules: Policy['references'] | Policy['files']): string[] {
  return [...(rules?.allow ?? []), ...(rules?.deny ?? [])];
}

function referenceVerdicts(references: Policy['references'], { registry, repository, reference, pinned }: PolicyInput): Verdict[] {
  const { allow, deny, requireDigest } = references ?? {};
  const name = repository === undefined ? undefined : canonicalName(registry, repository);
  const verdicts: Verdict[] = [];
  if (allow !== undefined) {
    const isAllowed = name !== undefined && allow.some((pattern) => matchesRepository(pattern, name));
    const message = `${name ?? reference ?? 'the input'} is not in one of the repositories that are allowed (${fewOf(allow)})`;
    verdicts.push(isAllowed ? held('references.allow') : broken('references.allow', message, 'take it from one of those'));
  }
  if (deny !== undefined) {
    const pattern = name === undefined ? undefined : deny.find((one) => concernsRepository(one, name));
    const message = name === undefined ? 'it has no name to compare' : `${name} is denied by ${pattern ?? ''}`;
    const isHeld = name !== undefined && pattern === undefined;
    verdicts.push(isHeld ? held('references.deny') : broken('references.deny', message, 'take it from another repository'));
  }
  if (requireDigest === true) {
    const message = `${reference ?? 'the input'} is not named by its digest: a tag can be moved`;
    verdicts.push(
      pinned === true ? held('references.requireDigest') : broken('references.requireDigest', message, 'name it REPOSITORY@sha256:...'),
    );
  }
  return verdicts;
}

function judgeFormat(formats: readonly string[], { format }: PolicyInput): Verdict {
  if (format !== undefined && formats.includes(format)) return held('formats');
  const message = `its format is ${format ?? 'not known'}, not one of ${fewOf(formats)}`;
  return broken('formats', message, '`kit convert --to FORMAT` writes it in another format');
}

function judgeCreated(maxAge: string, { created, now = '' }: PolicyInput): Verdict {
  const rule = 'created.maxAge';
  if (created === undefined)
    return broken(rule, 'it does not say when it was made', 'pack it with `--created TIME`, or ask for an age of its signature');
  const problem = ageProblem(created, now, maxAge);
  return problem === undefined ? held(rule) : broken(rule, `it says that it was made at ${problem}`, 'pack it again, from what is current');
}

function judgeKitfile(rule: string, condition: NonNullable<Policy['kitfile']>[number], { kitfile }: PolicyInput, query: Query): Verdict {
  if (kitfile === undefined) return broken(rule, 'it has no Kitfile', '`kit pack` makes one from a Kitfile');
  const hint = condition.hint ?? `correct ${condition.path} in the Kitfile and pack it again`;
  return judgeCondition(rule, { ...condition, hint }, kitfile, query);
}

function fileVerdicts(rules: Policy['files'], { files, unknown = [] }: PolicyInput): Verdict[] {
  if (rules === undefined) return [];
  const { allow, deny, denyContent } = rules;
  const named = [
    { rule: 'files.allow', patterns: allow, isWrong: (isNamed: boolean) => !isNamed },
    { rule: 'files.deny', patterns: deny, isWrong: (isNamed: boolean) => isNamed },
  ];
  const verdicts = named.flatMap(({ rule, patterns, isWrong }) => {
    if (patterns === undefined) return [];
    const matchers = patterns.map(fileMatcher);
    if (files === undefined) return [notListed(rule, unknown)];
    const unlisted = files.filter(({ remote, size }) => remote !== undefined && size === undefined).map(({ remote = '' }) => remote);
    if (unlisted.length > 0)
      return [broken(rule, `nothing in it says which files are at ${fewOf(unlisted)}`, '`kit pack` records them: pack it again')];
    const wrong = files.filter(({ path }) => isWrong(matchers.some((matches) => matches(path)))).map(({ path }) => path);
    const message = `it holds ${wrong.length === 1 ? 'a file that is' : `${wrong.length} files that are`} not allowed: ${fewOf(wrong)}`;
    return [wrong.length === 0 ? held(rule) : broken(rule, message, 'pack it again without them')];
  });
  if (denyContent === undefined) return verdicts;
  const rule = 'files.denyContent';
  if (files === undefined) return [...verdicts, notListed(rule, unknown)];
  const unseen = files.filter(({ remote }) => remote !== undefined).map(({ path, remote = '' }) => `${path} (${remote})`);
  if (unseen.length > 0) {
    const message = `what stays elsewhere is not looked at: ${fewOf(unseen)}`;
    return [...verdicts, broken(rule, message, 'pack it into the ModelKit, or deny by names alone: `files.deny`')];
  }
  const pickles = files.filter(({ pickle }) => pickle === true).map(({ path }) => path);
  const message = `it holds pickles, which run code when they are loaded: ${fewOf(pickles)}`;
  return [...verdicts, pickles.length === 0 ? held(rule) : broken(rule, message, 'save the weights as safetensors and pack them again')];
}

function notListed(rule: string, unknown: readonly string[]): Verdict {
  const why = unknown.length > 0 ? `: ${fewOf(unknown)}` : '';
  return broken(rule, `its files are not known${why}`, '`kit files REFERENCE` lists them, or says why not');
}
