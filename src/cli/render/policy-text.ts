import { nameOf, type PolicyReport, type PolicyResult } from '../../operations/policy/policy.ts';
import { singleLine } from './plain-text.ts';

/** What held, a line for each policy: what did not is the error. */
export function reportLines(report: PolicyReport): string[] {
  return report.policies
    .filter(({ passed }) => passed)
    .map((one) => `${singleLine(nameOf(report))}: policy ${one.policy} (${one.file}): ${countOf(one)}`);
}

function countOf({ rules }: PolicyResult): string {
  return rules.length === 1 ? 'its rule holds' : `all ${rules.length} rules hold`;
}
