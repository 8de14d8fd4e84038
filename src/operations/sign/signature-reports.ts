import { isKitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import type { Candidate, SignatureSource } from '../../signing/candidates.ts';
import type { Kit } from '../kit.ts';
import type { Source } from '../artifact/open-location.ts';
import { originOf, signaturesIn } from './signature-source.ts';

interface Report extends Pick<Candidate, 'kind' | 'digest'> {
  readonly accepted: boolean;
  readonly reason?: string;
}

/**
 * What `check` reports on a source; where none is accepted, also on the registry that an artifact in the store comes from, for `pull`
 * leaves signatures there. What both report alike is there once.
 */
export async function reportsOn<T extends Report>(
  kit: Kit,
  source: Source,
  check: (signatures: SignatureSource) => AsyncIterable<T>,
  call: CallOptions,
): Promise<T[]> {
  const reports = await collect(check(signaturesIn(source.target, call)), call);
  const origin = hasAccepted(reports) ? undefined : await originOf(kit, source);
  if (origin === undefined) return reports;
  const more = await collect(check(signaturesIn(origin, call)), call);
  return [...reports, ...more.filter((one) => !reports.some((other) => isSame(one, other)))];
}

export function hasAccepted(reports: readonly Report[]): boolean {
  return reports.some(({ accepted }) => accepted);
}

/** All reports. @throws KitError LIMIT_EXCEEDED, unless one is accepted by then */
export async function collect<T extends Report>(source: AsyncIterable<T>, call: CallOptions): Promise<T[]> {
  const reports: T[] = [];
  try {
    for await (const report of source) reports.push(report);
  } catch (error) {
    // one that holds is enough: what others attach beyond the limit cannot take it away
    if (!isKitError(error, 'LIMIT_EXCEEDED') || !hasAccepted(reports)) throw error;
    call.onEvent?.({ type: 'warning', code: error.code, message: error.message });
  }
  return reports;
}

function isSame(one: Report, other: Report): boolean {
  return one.kind === other.kind && one.digest === other.digest && one.reason === other.reason;
}
