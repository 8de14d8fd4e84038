import type { Descriptor } from '../oci/descriptor.ts';
import { parseBundle } from './bundle.ts';
import { type Candidate, findCandidates, judge, type SignatureSource } from './candidates.ts';
import { openEnvelope, parseEnvelope } from './dsse.ts';
import type { AttestationRequirement } from './requirement.ts';
import { legacyMaterial } from './legacy-material.ts';
import { parseStatement, requireAttestationStatement, requirePredicateType, type Statement } from './statement.ts';
import type { Signatory } from './verifier.ts';

/** What became of one attestation. */
export interface AttestationReport extends Pick<Candidate, 'kind' | 'digest'> {
  readonly accepted: boolean;
  /** Who signed, if it is accepted. */
  readonly signer?: Signatory;
  /** The in-toto statement, if it is accepted. */
  readonly statement?: Statement;
  /** Why it is not accepted. */
  readonly reason?: string;
}

/** As checkSignatures, for attestations of one predicate type. A plain signature is none. */
export async function* checkAttestations(
  source: SignatureSource,
  subject: Descriptor,
  requirement: AttestationRequirement,
): AsyncGenerator<AttestationReport, void, undefined> {
  for await (const candidate of findCandidates(source, subject, 'att')) {
    const { kind, digest } = candidate;
    const verdict = 'reason' in candidate ? candidate : await judge(async () => await requireAttestation(candidate, requirement));
    if ('reason' in verdict) yield { kind, digest, accepted: false, reason: verdict.reason };
    else yield { kind, digest, accepted: true, ...verdict.value };
  }
}

/** Who signed an attestation, and what it says. @throws KitError SIGNATURE_INVALID whose message says why it is not accepted */
export async function requireAttestation(
  { kind, bytes, annotations }: Candidate,
  requirement: AttestationRequirement,
): Promise<{ signer: Signatory; statement: Statement }> {
  const { envelope, material } =
    kind === 'bundle' ? parseBundle(bytes) : { envelope: parseEnvelope(bytes), material: legacyMaterial(annotations) };
  // one that does not even claim the type is refused for that; what it claims counts for nothing else
  requirePredicateType(parseStatement(Buffer.from(envelope.payload, 'base64')), requirement.predicateType);
  const { payload, signatory } = await openEnvelope(envelope, material, requirement.verifier);
  return { signer: signatory, statement: requireAttestationStatement(payload, requirement) };
}
