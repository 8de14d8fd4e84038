import { KitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import type { Digest } from '../../oci/digest.ts';
import { isIndexType, isManifestType } from '../../oci/media-types.ts';
import type { Location } from '../../oci/reference.ts';
import { judge } from '../../policy/judge.ts';
import { regoVerdicts } from '../../policy/rego.ts';
import type { Verdict } from '../../policy/verdict.ts';
import { plainText } from '../../registry/redact.ts';
import type { Kit } from '../kit.ts';
import { openSource } from '../artifact/open-location.ts';
import { PolicyFacts, type PolicySubject } from './facts.ts';
import { loadQuery, openPolicy, type OpenPolicy } from './open.ts';
import { openPolicyVerifier, type TrustOverride } from './verifier.ts';
import { evaluateWithOpa } from './rego-opa.ts';
import { evaluateWasm } from './rego-thread.ts';
import { requireOneReference } from '../artifact/references.ts';
import { nameWithDigest } from '../sign/verify.ts';

/** What one policy says of something. */
export interface PolicyResult {
  readonly policy: string;
  readonly file: string;
  /** `warn`: broken rules are told about, and nothing is refused. */
  readonly mode: 'enforce' | 'warn';
  readonly passed: boolean;
  /** All of them. */
  readonly rules: readonly Verdict[];
}

export interface PolicyReport {
  /** Of an artifact, or the name of another document. */
  readonly reference: string;
  /** Of an artifact. */
  readonly digest?: Digest;
  /** No policy that is enforced has a broken rule. */
  readonly passed: boolean;
  readonly policies: readonly PolicyResult[];
}

export interface CheckPolicyArguments {
  readonly location: Location;
  /** Files: policies in YAML, or in Rego (.rego, .wasm, bundles). */
  readonly policies: readonly string[];
  readonly trust?: TrustOverride;
  /** Default `local-first`. */
  readonly lookup?: 'local-first' | 'remote';
}

/**
 * Judges an artifact by policies; every rule is reported: see `passed`, or use `requirePolicies`.
 * @throws KitError POLICY_INVALID, REFERENCE_NOT_FOUND, NETWORK and so on where there can be no verdict
 */
export async function checkPolicy(kit: Kit, args: CheckPolicyArguments, call: CallOptions = {}): Promise<PolicyReport> {
  const { location, policies, trust = {}, lookup = 'local-first' } = args;
  requireOneReference(location, 'verify');
  const opened = await Promise.all(policies.map(openPolicy));
  const source = await openSource(kit, location, lookup, call);
  const manifest = await source.target.resolve(source.reference, call);
  return await judgeArtifact(kit, opened, { source, manifest, name: source.name }, { trust, call });
}

/** The document that policies are asked about, with all its parts: what rules in Rego see. */
export async function policyInput(kit: Kit, args: CheckPolicyArguments, call: CallOptions = {}): Promise<Record<string, unknown>> {
  const { location, policies, trust = {}, lookup = 'local-first' } = args;
  requireOneReference(location, 'examine');
  const [open = EVERYTHING] = await Promise.all(policies.map(openPolicy));
  const source = await openSource(kit, location, lookup, call);
  const subject = { source, manifest: await source.target.resolve(source.reference, call), name: source.name };
  return await new PolicyFacts(kit, subject, call).document(open, async () => await openPolicyVerifier(kit, open, trust), true);
}

/** What a rule in Rego without a policy around it is given. */
const EVERYTHING: OpenPolicy = {
  name: 'input',
  file: 'input',
  mode: 'enforce',
  policy: { version: '1', name: 'input' },
  directory: '.',
  rego: [{ rule: 'rego', file: 'input', inputs: undefined, type: 'source' }],
};

type Judging = { readonly trust: TrustOverride; readonly call: CallOptions };

/** As `checkPolicy`, for an artifact that is open. */
export async function judgeArtifact(
  kit: Kit,
  policies: readonly OpenPolicy[],
  subject: PolicySubject,
  judging: Judging,
): Promise<PolicyReport> {
  const facts = new PolicyFacts(kit, subject, judging.call);
  const members = await facts.members();
  const results: PolicyResult[] = [];
  for (const open of policies) {
    if (members.length === 0) results.push(await judgeFacts(kit, open, facts, subject, judging));
    else results.push(await judgeIndex(kit, open, { facts, subject, members }, judging));
  }
  const passed = results.every((one) => one.passed || one.mode === 'warn');
  return { reference: subject.name, digest: subject.manifest.digest, passed, policies: results };
}

async function judgeFacts(
  kit: Kit,
  open: OpenPolicy,
  facts: PolicyFacts,
  { source }: PolicySubject,
  { trust, call }: Judging,
): Promise<PolicyResult> {
  let opened: ReturnType<typeof openPolicyVerifier> | undefined;
  const verifier = async (): ReturnType<typeof openPolicyVerifier> => await (opened ??= openPolicyVerifier(kit, open, trust));
  const local = await judgeDocument(kit, open, await facts.document(open, verifier, false), call);
  // `pull` leaves signatures in the registry: it is asked where what is here does not suffice
  if (local.passed || !(source.isLocal || (await source.index?.open())?.isLocal === true)) return local;
  return await judgeDocument(kit, open, await facts.document(open, verifier, true), call);
}

interface JudgedIndex {
  readonly facts: PolicyFacts;
  readonly subject: PolicySubject;
  readonly members: readonly Descriptor[];
}

/**
 * Whoever moves an index moves all that it lists. Its name and what lies beside it are judged once, for a signature of it covers the
 * digests in it; formats, Kitfiles, files and ages are those of its members, and all else is asked of both.
 */
async function judgeIndex(kit: Kit, open: OpenPolicy, { facts, subject, members }: JudgedIndex, judging: Judging): Promise<PolicyResult> {
  const { kitfile: _kitfile, files: _files, formats: _formats, created: _created, ...ofIndex } = open.policy;
  const { references: _references, signatures: _signatures, attestations: _attestations, sbom: _sbom, ...ofMembers } = open.policy;
  const own = await judgeFacts(kit, { ...open, policy: ofIndex }, facts, subject, judging);
  const rules = [...own.rules];
  for (const manifest of new Map(members.map((one) => [one.digest, one])).values()) {
    if (!isManifestType(manifest.mediaType)) {
      const what = isIndexType(manifest.mediaType) ? 'an index in an index' : `a \`${plainText(manifest.mediaType)}\` in an index`;
      throw new KitError('UNSUPPORTED', `${nameWithDigest(subject.name, manifest.digest)} is ${what}: policies do not judge those`, {
        hint: 'name what is in it one by one: REPOSITORY@DIGEST',
      });
    }
    const one = { ...subject, manifest };
    const content = new PolicyFacts(kit, one, judging.call);
    const { rules: found } = await judgeFacts(kit, { ...open, policy: ofMembers }, content, one, judging);
    rules.push(...found.map((verdict) => ({ ...verdict, digest: manifest.digest })));
  }
  return { ...own, passed: rules.every(({ passed }) => passed), rules };
}

/** What one policy says of any document. @throws KitError POLICY_INVALID | UNSUPPORTED when rules in Rego cannot be evaluated */
export async function judgeDocument(kit: Kit, open: OpenPolicy, document: unknown, call: CallOptions): Promise<PolicyResult> {
  const { name, file, mode, policy, rego } = open;
  const rules = [...judge(policy, document, await loadQuery())];
  const input = rego.length === 0 ? '' : JSON.stringify(document);
  for (const module of rego) {
    const results =
      module.type === 'source'
        ? await evaluateWithOpa(kit, module.file, input, call)
        : await evaluateWasm(module.file, module, input, { entrypoints: module.entrypoints, ...(call.signal && { signal: call.signal }) });
    rules.push(...regoVerdicts(module.rule, results));
  }
  return { policy: name, file, mode, passed: rules.every(({ passed }) => passed), rules: rules.map(plain) };
}

/** What an artifact or a registry says of itself goes into messages. */
function plain({ rule, passed, message, hint }: Verdict): Verdict {
  return {
    rule,
    passed,
    ...(message !== undefined && { message: inOneLine(message) }),
    ...(hint !== undefined && { hint: plainText(hint) }),
  };
}

const MAX_MESSAGE = 1000;

function inOneLine(text: string): string {
  const parts = text.length > MAX_MESSAGE ? `${text.slice(0, MAX_MESSAGE).toWellFormed()}...` : text;
  return (parts.match(/.{1,300}/gsu) ?? []).map((part) => plainText(part)).join('');
}

/** @throws KitError POLICY_VIOLATED naming every broken rule of every policy that is enforced */
export function requirePolicies(...reports: readonly PolicyReport[]): void {
  const refused = reports.filter(({ passed }) => !passed);
  const [first] = refused;
  if (first === undefined) return;
  const enforced = (report: PolicyReport): readonly PolicyResult[] =>
    report.policies.filter(({ passed, mode }) => !passed && mode === 'enforce');
  const lines = refused.map((report) => `${nameOf(report)} is refused${enforced(report).flatMap(brokenLines).join('')}`);
  const again =
    first.digest === undefined
      ? 'correct it and run the command again'
      : `\`kit verify ${first.reference} --policy ${enforced(first)[0]?.file ?? 'FILE'}\` checks it again`;
  throw new KitError('POLICY_VIOLATED', lines.join('\n'), { hint: `${again}; \`--format json\` shows every rule` });
}

export function nameOf({ reference, digest }: Pick<PolicyReport, 'reference' | 'digest'>): string {
  return digest === undefined ? reference : nameWithDigest(reference, digest);
}

/** One line for the policy and two for each broken rule. */
function brokenLines({ policy, file, rules }: PolicyResult): string[] {
  const failed = rules.filter(({ passed }) => !passed);
  return [
    `\n  policy ${policy} (${file}): ${failed.length} of ${rules.length} rules ${failed.length === 1 ? 'is' : 'are'} broken`,
    ...failed.map(
      ({ rule, digest, message = '', hint }) =>
        `\n    ${rule}: ${digest === undefined ? '' : `${digest}: `}${message}${hint === undefined ? '' : `\n      ${hint}`}`,
    ),
  ];
}

/** A warning for every policy that only warns. */
export function tellWarnings(report: PolicyReport, call: CallOptions): void {
  for (const one of report.policies) {
    if (one.passed || one.mode === 'enforce') continue;
    const message = `${nameOf(report)}:${brokenLines(one).join('')}`;
    call.onEvent?.({ type: 'warning', code: 'POLICY_VIOLATED', message });
  }
}
