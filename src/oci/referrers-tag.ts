import { type Digest, digestAlgorithm, digestHex } from './digest.ts';

/** The tag that lists the referrers of `subject` where there is no referrers API (distribution spec, "Referrers Tag Schema"). */
export function referrersTag(subject: Digest): string {
  return `${digestAlgorithm(subject)}-${digestHex(subject).slice(0, 64)}`;
}

/** True for such a tag (also at the end of a full name), and for cosign's older ones for what belongs to a digest: `.sig`, `.att`, `.sbom`. */
export function isReferrersTag(tag: string | undefined): boolean {
  return tag !== undefined && /(?:^|:)sha(256|512)-[a-f0-9]{64}(\.(sig|att|sbom))?$/.test(tag);
}
