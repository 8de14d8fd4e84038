import { KitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import type { Digest } from '../../oci/digest.ts';
import type { Location } from '../../oci/reference.ts';
import { type AttestationReport, checkAttestations } from '../../signing/check-attestations.ts';
import { predicateTypeOf } from '../../signing/predicate-types.ts';
import type { AttestationRequirement } from '../../signing/requirement.ts';
import type { Verifier } from '../../signing/verifier.ts';
import { fetchMetadata } from '../../targets/manifest-bytes.ts';
import type { Kit } from '../kit.ts';
import { openSource } from '../artifact/open-location.ts';
import { hasAccepted, reportsOn } from './signature-reports.ts';
import { requireOneReference } from '../artifact/references.ts';
import { describeRefusal, nameWithDigest } from './verify.ts';

export interface VerifyAttestationArguments {
  readonly location: Location;
  /** Who must have signed: see `openKeyVerifier`. */
  readonly verifier: Verifier;
  /** One of cosign's short names, or the URI of the predicate type. */
  readonly type: string;
  /** Default `local-first`: the tag is looked up in the store before the registry. */
  readonly lookup?: 'local-first' | 'remote';
}

export interface VerifyAttestationResult {
  readonly reference: string;
  /** Of the manifest that the attestations are about. */
  readonly digest: Digest;
  readonly predicateType: string;
  /** One attestation at least is accepted. */
  readonly verified: boolean;
  readonly attestations: readonly AttestationReport[];
}

/** As `findSignatures`, for attestations of one predicate type. */
export async function findAttestations(
  kit: Kit,
  args: VerifyAttestationArguments,
  call: CallOptions = {},
): Promise<VerifyAttestationResult> {
  const { location, verifier, lookup = 'local-first' } = args;
  const predicateType = predicateTypeOf(args.type);
  requireOneReference(location, 'verify');
  const source = await openSource(kit, location, lookup, call);
  const subject = await source.target.resolve(source.reference, call);
  await fetchMetadata(source.target, subject, call);
  const requirement: AttestationRequirement = { verifier, digest: subject.digest, predicateType };
  const attestations = await reportsOn(kit, source, (found) => checkAttestations(found, subject, requirement), call);
  return { reference: source.name, digest: subject.digest, predicateType, verified: hasAccepted(attestations), attestations };
}

/** @throws KitError SIGNATURE_INVALID naming each attestation with why it is not accepted */
export function requireAttested({ reference, digest, predicateType, verified, attestations }: VerifyAttestationResult): void {
  if (verified) return;
  const name = nameWithDigest(reference, digest);
  if (attestations.length === 0)
    throw new KitError('SIGNATURE_INVALID', `${name}: no attestations found`, {
      hint: 'nothing is attested of it, or that was left behind when it was copied: `kit copy --referrers` takes it along; `kit attest` makes one',
    });
  const lines = attestations.map((attestation) => `\n  ${describeRefusal(attestation)}`);
  throw new KitError('SIGNATURE_INVALID', `${name}: no attestation of type ${predicateType} is accepted${lines.join('')}`, {
    hint: 'check `--type`, and that the key or identity is that of whoever attests it',
  });
}

/**
 * Proves that someone attested something of an artifact; what, is in the statements of the accepted reports.
 * @throws KitError SIGNATURE_INVALID when no attestation is accepted
 */
export async function verifyAttestation(
  kit: Kit,
  args: VerifyAttestationArguments,
  call: CallOptions = {},
): Promise<VerifyAttestationResult> {
  const result = await findAttestations(kit, args, call);
  requireAttested(result);
  return result;
}
