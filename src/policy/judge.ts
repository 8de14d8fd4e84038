import { withTimeLimit } from '../time-limit.ts';
import { artifactRules } from './artifact-rules.ts';
import { conditionProblem, judgeCondition, patternsOf, type Query, ruleName } from './condition.ts';
import { type JudgedAttestation, type PolicyInput, readInput } from './input.ts';
import { predicateTypeOf } from '../signing/predicate-types.ts';
import type { Policy, Signer } from './schema.ts';
import { signersProblem } from './signers.ts';
import { broken, fewOf, held, type Rule, type Verdict } from './verdict.ts';

/**
 * What became of every rule of a policy, but for those in Rego. Pure: what is known stands in `document`.
 * @throws KitError POLICY_INVALID naming the rule that takes too long: a document may be made for that
 */
export function judge(policy: Policy, document: unknown, query: Query, limitMs?: number): Verdict[] {
  const input = readInput(document);
  const verdicts: Verdict[] = [];
  let current: Rule | undefined;
  const work = (): void => {
    for (const rule of rulesOf(policy, document, input, query)) {
      current = rule;
      verdicts.push(...rule.judge());
    }
  };
  const what = (): string => {
    const { name = '', patterns = [] } = current ?? {};
    const subject = input.reference === undefined ? '' : `${input.reference}: `;
    return `${subject}the rule ${name} of the policy ${policy.name} (${fewOf(patterns.map((one) => `\`${one}\``))})`;
  };
  withTimeLimit(work, 'POLICY_INVALID', what, limitMs);
  return verdicts;
}

function rulesOf(policy: Policy, document: unknown, input: PolicyInput, query: Query): Rule[] {
  const { signatures = [], attestations = [], conditions = [], sbom } = policy;
  return [
    ...artifactRules(policy, input, query),
    ...signatures.map((rule, index): Rule => {
      const name = `signatures${labelOf(rule.name, index)}`;
      return { name, patterns: regexpsOf(rule.signers), judge: () => [judgeSignatures(name, rule, input)] };
    }),
    ...attestations.map((rule, index): Rule => {
      const name = `attestations${labelOf(rule.name, index)}`;
      const patterns = [...regexpsOf(rule.signers), ...(rule.conditions ?? []).flatMap(patternsOf)];
      return { name, patterns, judge: () => [judgeAttestations(name, rule, input, query)] };
    }),
    { name: 'sbom', patterns: regexpsOf(sbom?.signers ?? []), judge: () => (sbom === undefined ? [] : [judgeSbom(sbom, input)]) },
    ...conditions.map((condition): Rule => {
      const name = ruleName('conditions', condition);
      return { name, patterns: patternsOf(condition), judge: () => [judgeCondition(name, condition, document, query)] };
    }),
  ];
}

function regexpsOf(signers: readonly Signer[]): string[] {
  return signers.flatMap(({ identityRegexp, issuerRegexp }) => [identityRegexp, issuerRegexp].filter((one) => one !== undefined));
}

function labelOf(name: string | undefined, index: number): string {
  return name === undefined ? `[${index}]` : `.${name}`;
}

type SignatureRule = NonNullable<Policy['signatures']>[number];
type AttestationRule = NonNullable<Policy['attestations']>[number];

function judgeSignatures(rule: string, asked: SignatureRule, input: PolicyInput): Verdict {
  const problem = signersProblem(asked, input.signatures ?? [], input.now ?? '');
  if (problem === undefined) return held(rule);
  const found = input.signatures?.length === 0 || input.signatures === undefined ? 'it has no signatures: ' : '';
  return broken(
    rule,
    `${found}${problem}${unknownOf(input)}`,
    `whoever must sign it does so by \`kit sign ${input.reference ?? 'REFERENCE'}\``,
  );
}

function judgeAttestations(rule: string, asked: AttestationRule, input: PolicyInput, query: Query): Verdict {
  const type = predicateTypeOf(asked.type);
  // of one that is refused the type is mostly not known
  const all = (input.attestations ?? []).filter(
    ({ accepted, predicateType }) => predicateType === type || (!accepted && predicateType === undefined),
  );
  const problems: string[] = [];
  const sound = all.filter(({ accepted, digest = 'an attestation', predicate }) => {
    if (!accepted) return true;
    const wrong = (asked.conditions ?? []).flatMap((condition) => conditionProblem(condition, predicate, query) ?? []);
    if (wrong.length > 0) problems.push(`${digest} says: ${fewOf(wrong)}`);
    return wrong.length === 0;
  });
  const problem = signersProblem(asked, sound, input.now ?? '');
  if (problem === undefined) return held(rule);
  const none = all.every(({ accepted }) => !accepted) ? `it has no attestation of the type ${type} by anybody who is asked for: ` : '';
  const said = problems.length > 0 ? `${fewOf(problems)}; ` : '';
  return broken(rule, `${none}${said}${problem}${unknownOf(input)}`, attestHint(asked, input));
}

function attestHint({ type }: AttestationRule, { reference = 'REFERENCE' }: PolicyInput): string {
  return `whoever must attest it does so by \`kit attest ${reference} --type ${type} --predicate FILE\``;
}

const SBOM_NAMES = ['cyclonedx', 'spdx'] as const;

function judgeSbom({ formats = [...SBOM_NAMES], signers, count, maxAge }: NonNullable<Policy['sbom']>, input: PolicyInput): Verdict {
  const isSbom = (type = ''): boolean => formats.some((name) => type.toLowerCase().includes(name));
  const what = formats.join(' or ');
  const signed = (input.attestations ?? []).filter(({ predicateType }: JudgedAttestation) => isSbom(predicateType));
  if (signers === undefined) {
    const isThere = signed.some(({ accepted }) => accepted) || (input.sboms ?? []).some(({ type }) => isSbom(type));
    if (isThere) return held('sbom');
    const message = `it has no bill of materials (${what})${unknownOf(input)}`;
    return broken('sbom', message, `\`kit sbom ${input.reference ?? 'REFERENCE'} --attach\` makes one`);
  }
  const problem = signersProblem({ signers, count, maxAge, annotations: undefined }, signed, input.now ?? '');
  if (problem === undefined) return held('sbom');
  const message = `it has no signed bill of materials (${what}): ${problem}${unknownOf(input)}`;
  return broken('sbom', message, `\`kit sbom ${input.reference ?? 'REFERENCE'} --sign --key FILE\` makes one`);
}

/** What could not be found out, as the reason why a rule may be broken. */
function unknownOf({ unknown = [] }: PolicyInput): string {
  return unknown.length === 0 ? '' : `; not known: ${fewOf(unknown)}`;
}
