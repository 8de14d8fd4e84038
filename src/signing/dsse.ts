import * as z from 'zod';
import { notAccepted, requireSignature, type SignatureRequirement } from './requirement.ts';

/** DSSE envelope v1 as JSON. Key ids are hints of whoever sends it and decide nothing. */
export const envelopeSchema = z.looseObject({
  payload: z.base64(),
  payloadType: z.string(),
  signatures: z.array(z.looseObject({ sig: z.string() })),
});

export type Envelope = z.infer<typeof envelopeSchema>;

/** The bytes that are signed (DSSE protocol, "PAE"). */
export function preAuthEncoding(payloadType: string, payload: Uint8Array): Buffer {
  const head = `DSSEv1 ${Buffer.byteLength(payloadType)} ${payloadType} ${payload.byteLength} `;
  return Buffer.concat([Buffer.from(head), payload]);
}

/** The payload, once its signature holds: nothing in it is looked at before. @throws KitError SIGNATURE_INVALID */
export function openEnvelope(envelope: Envelope, requirement: SignatureRequirement): Buffer {
  const [signature, ...others] = envelope.signatures;
  // the bundle format allows exactly one (sigstore_bundle.proto)
  if (signature === undefined || others.length > 0) throw notAccepted(`its envelope has ${envelope.signatures.length} signatures, not one`);
  const payload = Buffer.from(envelope.payload, 'base64');
  requireSignature(preAuthEncoding(envelope.payloadType, payload), signature.sig, requirement);
  return payload;
}
