import * as z from 'zod';
import type { Annotations } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import { legacyMaterial } from './legacy-material.ts';
import { parseJson } from './parse-json.ts';
import { decodeSignature, notAccepted, requireAnnotations, type SignatureRequirement } from './requirement.ts';
import type { Signatory } from './verifier.ts';

export const SIMPLE_SIGNING_TYPE = 'application/vnd.dev.cosign.simplesigning.v1+json';
export const SIGNATURE_ANNOTATION = 'dev.cosignproject.cosign/signature';
const PAYLOAD_TYPE = 'cosign container image signature';

/** The "simple signing" payload as cosign writes it. `docker-reference` is a claim of the signer and decides nothing, as in cosign. */
const payloadSchema = z.looseObject({
  critical: z.looseObject({
    image: z.looseObject({ 'docker-manifest-digest': z.string() }),
    type: z.literal(PAYLOAD_TYPE),
  }),
  optional: z.unknown().optional(),
});

/** What is signed in cosign's older format. `identity` is the repository that it is to be found in. */
export function simpleSigningPayload(digest: Digest, identity: string, annotations: Readonly<Record<string, string>>): Buffer {
  const critical = { identity: { 'docker-reference': identity }, image: { 'docker-manifest-digest': digest }, type: PAYLOAD_TYPE };
  return Buffer.from(JSON.stringify({ critical, optional: Object.keys(annotations).length === 0 ? null : annotations }));
}

/**
 * Accepts one layer of cosign's older format: `payload` are its bytes, which are signed as they are; the signature is in
 * `annotations` of its descriptor. @throws KitError SIGNATURE_INVALID whose message says why it is not accepted
 */
export async function requireSimpleSigning(
  payload: Uint8Array,
  annotations: Annotations,
  requirement: SignatureRequirement,
): Promise<{ readonly signer: Signatory; readonly annotations?: Readonly<Record<string, unknown>> }> {
  const text = annotations[SIGNATURE_ANNOTATION];
  if (text === undefined || text === '') throw notAccepted('it has no signature annotation');
  const signature = decodeSignature(text);
  const signer = await requirement.verifier.verify({ data: payload, signature, material: legacyMaterial(annotations) });
  const { critical, optional } = parseJson(payloadSchema, payload, 'its payload');
  const digest = critical.image['docker-manifest-digest'];
  if (digest !== requirement.digest) throw notAccepted(`it signs ${digest}, not ${requirement.digest}`);
  requireAnnotations(optional, requirement);
  const hasAnnotations = typeof optional === 'object' && optional !== null && Object.keys(optional).length > 0;
  return { signer, ...(hasAnnotations && { annotations: { ...optional } }) };
}
