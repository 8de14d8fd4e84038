import * as z from 'zod';
import type { Annotations } from '../oci/descriptor.ts';
import { type Digest, digestAlgorithm, digestHex } from '../oci/digest.ts';
import { parseJson } from './parse-json.ts';
import { notAccepted, requireAnnotations, requireSignature, type SignatureRequirement } from './requirement.ts';

export const SIMPLE_SIGNING_TYPE = 'application/vnd.dev.cosign.simplesigning.v1+json';
const SIGNATURE_ANNOTATION = 'dev.cosignproject.cosign/signature';
const CERTIFICATE_ANNOTATION = 'dev.sigstore.cosign/certificate';
const PAYLOAD_TYPE = 'cosign container image signature';

/** The "simple signing" payload as cosign writes it. `docker-reference` is a claim of the signer and decides nothing, as in cosign. */
const payloadSchema = z.looseObject({
  critical: z.looseObject({
    image: z.looseObject({ 'docker-manifest-digest': z.string() }),
    type: z.literal(PAYLOAD_TYPE),
  }),
  optional: z.unknown().optional(),
});

/** The tag that holds cosign's older signatures of `subject`; undefined where it would be too long for a tag. */
export function legacySignatureTag(subject: Digest): string | undefined {
  return digestAlgorithm(subject) === 'sha256' ? `sha256-${digestHex(subject)}.sig` : undefined;
}

/**
 * Accepts one layer of cosign's older format: `payload` are its bytes, which are signed as they are; the signature is in
 * `annotations` of its descriptor. @throws KitError SIGNATURE_INVALID whose message says why it is not accepted
 */
export function requireSimpleSigning(payload: Uint8Array, annotations: Annotations, requirement: SignatureRequirement): void {
  const signature = annotations[SIGNATURE_ANNOTATION];
  if (signature === undefined || signature === '') throw notAccepted('it has no signature annotation');
  if (annotations[CERTIFICATE_ANNOTATION]) throw notAccepted('it was signed with a certificate, and a key is required');
  requireSignature(payload, signature, requirement);
  const { critical, optional } = parseJson(payloadSchema, payload, 'its payload');
  const digest = critical.image['docker-manifest-digest'];
  if (digest !== requirement.digest) throw notAccepted(`it signs ${digest}, not ${requirement.digest}`);
  requireAnnotations(optional, requirement);
}
