import { KitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import { claimedIdentity } from '../../signing/claimed-identity.ts';
import { readUnverified } from '../../signing/unverified.ts';
import { kindOfReferrer, listReferrers } from '../history/referrers.ts';
import { isAboutContent } from './facts.ts';
import type { Repository } from './places.ts';
import { signaturesIn } from '../sign/signature-source.ts';

/** What lies beside a manifest, as JSON: how many signatures, by whom they say they are. Nothing of it is verified. */
export async function signaturesText({ target }: Repository, digest: string, call: CallOptions): Promise<string> {
  const subject = await target.resolve(digest, call);
  const identities = new Set<string>();
  const issuers = new Set<string>();
  const counts = { bundle: 0, legacy: 0 };
  try {
    for await (const found of readUnverified(signaturesIn(target, call), subject, 'sig')) {
      if ('reason' in found) continue;
      counts[found.kind] += 1;
      const claimed = claimedIdentity(found);
      if (claimed !== undefined) identities.add(claimed.identity);
      if (claimed?.issuer !== undefined) issuers.add(claimed.issuer);
    }
  } catch (error) {
    // more signatures than anybody reads: those that were seen count
    if (!(error instanceof KitError) || !isAboutContent(error)) throw error;
  }
  const kinds = (await listReferrers(target, subject, call)).map(kindOfReferrer);
  const [attestations, sboms] = (['attestation', 'sbom'] as const).map((wanted) => kinds.filter((kind) => kind === wanted).length);
  // signers mostly write both formats: one signature is not to count as two
  const count = counts.bundle > 0 ? counts.bundle : counts.legacy;
  return JSON.stringify({
    present: count > 0,
    count,
    identities: [...identities].toSorted(),
    issuers: [...issuers].toSorted(),
    attestations,
    sboms,
  });
}
