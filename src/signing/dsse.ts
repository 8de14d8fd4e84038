import * as z from 'zod';
import type { VerificationMaterial } from './material.ts';
import { parseJson } from './parse-json.ts';
import { decodeSignature, notAccepted } from './requirement.ts';
import type { SignedBytes, Signer } from './signer.ts';
import { IN_TOTO_TYPE } from './statement.ts';
import type { Signatory, Verifier } from './verifier.ts';

/** Layer type of an attestation in cosign's older format: a bare envelope. */
export const ENVELOPE_TYPE = 'application/vnd.dsse.envelope.v1+json';

/** DSSE envelope v1 as JSON. Key ids are hints of whoever sends it and decide nothing. */
export const envelopeSchema = z.looseObject({
  payload: z.base64(),
  payloadType: z.string(),
  signatures: z.array(z.looseObject({ sig: z.string() })),
});

export type Envelope = z.infer<typeof envelopeSchema>;

/** @throws KitError SIGNATURE_INVALID */
export function parseEnvelope(bytes: Uint8Array): Envelope {
  return parseJson(envelopeSchema, bytes, 'the envelope');
}

/** The bytes that are signed (DSSE protocol, "PAE"). */
export function preAuthEncoding(payloadType: string, payload: Uint8Array): Buffer {
  const head = `DSSEv1 ${Buffer.byteLength(payloadType)} ${payloadType} ${payload.byteLength} `;
  return Buffer.concat([Buffer.from(head), payload]);
}

/** What such bytes encode; undefined for other bytes. */
export function readPreAuthEncoding(data: Uint8Array): { readonly payloadType: string; readonly payload: Buffer } | undefined {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  const [head, type] = /^DSSEv1 \d+ (\S+) (\d+) /.exec(bytes.toString('latin1', 0, 400)) ?? [];
  if (head === undefined || type === undefined) return undefined;
  const payload = bytes.subarray(head.length);
  return preAuthEncoding(type, payload).equals(bytes) ? { payloadType: type, payload } : undefined;
}

/** An in-toto statement, signed. */
export async function sealEnvelope(statement: string, signer: Signer): Promise<SignedBytes & { readonly envelope: Envelope }> {
  const payload = Buffer.from(statement);
  const signed = await signer.sign(preAuthEncoding(IN_TOTO_TYPE, payload));
  // to the letter what @sigstore/sign sends to logs, which keep the hash of it; cosign takes no key id that it does not know
  const envelope = {
    payload: payload.toString('base64'),
    payloadType: IN_TOTO_TYPE,
    signatures: [{ sig: signed.signature.toString('base64') }],
  };
  return { ...signed, envelope };
}

export interface OpenedEnvelope {
  /** The in-toto statement. */
  readonly payload: Buffer;
  readonly signatory: Signatory;
}

/** The statement, once its signature holds: nothing in it is looked at before. @throws KitError SIGNATURE_INVALID */
export async function openEnvelope(envelope: Envelope, material: VerificationMaterial, verifier: Verifier): Promise<OpenedEnvelope> {
  const [signature, ...others] = envelope.signatures;
  // the bundle format allows exactly one (sigstore_bundle.proto)
  if (signature === undefined || others.length > 0) throw notAccepted(`its envelope has ${envelope.signatures.length} signatures, not one`);
  const payload = Buffer.from(envelope.payload, 'base64');
  const data = preAuthEncoding(envelope.payloadType, payload);
  const signatory = await verifier.verify({ data, signature: decodeSignature(signature.sig), material });
  if (envelope.payloadType !== IN_TOTO_TYPE) throw notAccepted(`its payload type \`${envelope.payloadType}\` is not ${IN_TOTO_TYPE}`);
  return { payload, signatory };
}
