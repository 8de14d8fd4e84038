import { type Digest, digestAlgorithm, digestHex } from '../oci/digest.ts';

/** What cosign's older tags hold: signatures, attestations, an SBOM. */
export type LegacySuffix = 'sig' | 'att' | 'sbom';

/** The tag that holds what cosign's older format says about `subject`; undefined where it would be too long for a tag. */
export function legacyTag(subject: Digest, suffix: LegacySuffix): string | undefined {
  return digestAlgorithm(subject) === 'sha256' ? `sha256-${digestHex(subject)}.${suffix}` : undefined;
}
