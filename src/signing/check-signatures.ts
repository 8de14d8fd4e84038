import type { Descriptor } from '../oci/descriptor.ts';
import { openBundle } from './bundle.ts';
import { type Candidate, findCandidates, judge, type SignatureSource } from './candidates.ts';
import type { SignatureRequirement } from './requirement.ts';
import { requireSimpleSigning } from './simple-signing.ts';
import { requireSignatureStatement } from './statement.ts';
import type { Signatory } from './verifier.ts';

/** What became of one signature. */
export interface SignatureReport extends Pick<Candidate, 'kind' | 'digest'> {
  readonly accepted: boolean;
  /** Who signed, if it is accepted. */
  readonly signer?: Signatory;
  /** What was signed along with the digest, if it is accepted and there is any. */
  readonly annotations?: Readonly<Record<string, unknown>>;
  /** Why it is not accepted. */
  readonly reason?: string;
}

/**
 * Checks every signature of the manifest `subject`: sigstore bundles first, then cosign's older format. One that is damaged,
 * missing or about something else is reported, not thrown. @throws KitError LIMIT_EXCEEDED, and what `source` throws
 */
export async function* checkSignatures(
  source: SignatureSource,
  subject: Descriptor,
  requirement: SignatureRequirement,
): AsyncGenerator<SignatureReport, void, undefined> {
  for await (const candidate of findCandidates(source, subject, 'sig')) {
    if ('reason' in candidate) yield { ...candidate, accepted: false };
    else yield await checkSignature(candidate, requirement);
  }
}

export async function checkSignature(candidate: Candidate, requirement: SignatureRequirement): Promise<SignatureReport> {
  const { kind, digest } = candidate;
  const verdict = await judge(async () => await requireSignature(candidate, requirement));
  if ('reason' in verdict) return { kind, digest, accepted: false, reason: verdict.reason };
  return { kind, digest, accepted: true, ...verdict.value };
}

async function requireSignature(
  { kind, bytes, annotations }: Candidate,
  requirement: SignatureRequirement,
): Promise<Pick<SignatureReport, 'annotations'> & { readonly signer: Signatory }> {
  if (kind === 'legacy') return await requireSimpleSigning(bytes, annotations, requirement);
  const { payload, signatory } = await openBundle(bytes, requirement.verifier);
  const signed = requireSignatureStatement(payload, requirement);
  return { signer: signatory, ...(Object.keys(signed).length > 0 && { annotations: signed }) };
}
