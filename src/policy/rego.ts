import { broken, held, type Verdict } from './verdict.ts';

/** What each entrypoint of a Rego policy gave; undefined where it gave nothing. */
export type RegoResults = Readonly<Record<string, unknown>>;

/** More messages than this are not listed one by one. */
const MAX_MESSAGES = 20;
/** The rules that say something. */
export const POLICY_RULES: readonly string[] = ['deny', 'violation', 'allow'];

/**
 * Results as Gatekeeper, Conftest and OPA's own examples give them: `deny` and `violation` are sets of messages, which have to be empty,
 * and `allow` has to be true. A package stands for the rules of these names in it. What gives nothing has not been shown to hold.
 */
export function regoVerdicts(rule: string, results: RegoResults): Verdict[] {
  const entries = Object.entries(results);
  if (entries.length === 0) return [noRules(rule)];
  return entries.flatMap(([entrypoint, value]) => {
    const name = entrypoint.split('/').at(-1) ?? '';
    if (POLICY_RULES.includes(name)) return judgeOne(`${rule}.${name}`, name, value);
    if (typeof value === 'boolean') return judgeOne(`${rule}.${name}`, 'allow', value);
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return [undefinedRule(`${rule}.${name}`, value)];
    const rules = Object.entries(value).filter(([key]) => POLICY_RULES.includes(key));
    return rules.length === 0 ? [noRules(rule)] : rules.flatMap(([key, one]) => judgeOne(`${rule}.${key}`, key, one));
  });
}

function judgeOne(rule: string, name: string, value: unknown): Verdict[] {
  if (name === 'allow')
    return [value === true ? held(rule) : broken(rule, 'it is not allowed', 'the rules of the policy say what is allowed')];
  if (value === false) return [held(rule)];
  if (typeof value !== 'object' || value === null) return [value === true ? denied(rule, 'it is denied') : undefinedRule(rule, value)];
  // a set has no order of its own
  const messages = (Array.isArray(value) ? value : Object.values(value)).map(messageOf).toSorted();
  if (messages.length === 0) return [held(rule)];
  const listed = messages.slice(0, MAX_MESSAGES).map((one) => denied(rule, one));
  const more = messages.length - listed.length;
  return more > 0 ? [...listed, denied(rule, `and ${more} more`)] : listed;
}

function denied(rule: string, message: string): Verdict {
  return broken(rule, message, 'the rules of the policy say what is asked for');
}

/** `msg` as in Gatekeeper and Conftest. */
function messageOf(value: unknown): string {
  if (typeof value === 'string') return value;
  const { msg, message = msg } = (typeof value === 'object' && value !== null ? value : {}) as Record<string, unknown>;
  return typeof message === 'string' ? message : JSON.stringify(value);
}

function noRules(rule: string): Verdict {
  return broken(rule, `it has none of the rules ${POLICY_RULES.join(', ')}`, 'docs/policy.md says what a policy in Rego gives');
}

function undefinedRule(rule: string, value: unknown): Verdict {
  const what = value === undefined ? 'nothing' : `a ${typeof value}`;
  return broken(rule, `it gives ${what}, so nothing shows that it holds`, 'docs/policy.md says what a policy in Rego gives');
}
