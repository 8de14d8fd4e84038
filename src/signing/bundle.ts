import * as z from 'zod';
import { type Envelope, envelopeSchema, type OpenedEnvelope, openEnvelope } from './dsse.ts';
import { materialSchema, type VerificationMaterial } from './material.ts';
import { parseJson } from './parse-json.ts';
import { notAccepted } from './requirement.ts';
import type { Verifier } from './verifier.ts';

/** Both spellings: `application/vnd.dev.sigstore.bundle.v0.3+json` and, older, `application/vnd.dev.sigstore.bundle+json;version=0.2`. */
export const BUNDLE_TYPE_PREFIX = 'application/vnd.dev.sigstore.bundle';
/** What is written: cosign reads no older one. */
export const BUNDLE_TYPE = `${BUNDLE_TYPE_PREFIX}.v0.3+json`;
/** The versions differ in what they prove about logs, not in how a key signs. */
const BUNDLE_TYPES: ReadonlySet<string> = new Set(
  ['0.1', '0.2', '0.3'].flatMap((version) => [`${BUNDLE_TYPE_PREFIX}.v${version}+json`, `${BUNDLE_TYPE_PREFIX}+json;version=${version}`]),
);

/** sigstore_bundle.proto as JSON. */
const bundleSchema = z.looseObject({
  mediaType: z.string(),
  verificationMaterial: materialSchema,
  dsseEnvelope: envelopeSchema.nullish(),
  messageSignature: z.unknown().optional(),
});

/** A sigstore bundle v0.3 around a signed statement. */
export function makeBundle(envelope: Envelope, material: VerificationMaterial): Buffer {
  return Buffer.from(JSON.stringify({ mediaType: BUNDLE_TYPE, verificationMaterial: material, dsseEnvelope: envelope }));
}

/** @throws KitError SIGNATURE_INVALID */
export function parseBundle(bytes: Uint8Array): { readonly envelope: Envelope; readonly material: VerificationMaterial } {
  const bundle = parseJson(bundleSchema, bytes, 'the bundle');
  if (!BUNDLE_TYPES.has(bundle.mediaType)) throw notAccepted(`the bundle version \`${bundle.mediaType}\` is unknown`);
  if (bundle.dsseEnvelope !== undefined && bundle.dsseEnvelope !== null)
    return { envelope: bundle.dsseEnvelope, material: bundle.verificationMaterial };
  throw notAccepted(
    bundle.messageSignature === undefined
      ? 'the bundle holds no signature'
      : 'it is a signature over a file (messageSignature), not a signed statement about a manifest',
  );
}

/** The statement in a bundle, once its signature holds. @throws KitError SIGNATURE_INVALID whose message says why it does not */
export async function openBundle(bytes: Uint8Array, verifier: Verifier): Promise<OpenedEnvelope> {
  const { envelope, material } = parseBundle(bytes);
  return await openEnvelope(envelope, material, verifier);
}
