import { type Digest, digestAlgorithm, digestHex } from './digest.ts';

/** The tag that lists the referrers of `subject` where there is no referrers API (distribution spec, "Referrers Tag Schema"). */
export function referrersTag(subject: Digest): string {
  return `${digestAlgorithm(subject)}-${digestHex(subject).slice(0, 64)}`;
}
