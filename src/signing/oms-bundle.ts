import { createHash, createPublicKey } from 'node:crypto';
import { KitError } from '../errors.ts';
import { makeBundle, openBundle, parseBundle } from './bundle.ts';
import { sealEnvelope } from './dsse.ts';
import { type ModelFiles, OMS_PREDICATE_TYPE, omsStatement, parseSignedModel, type SignedModel } from './oms-statement.ts';
import type { Signer } from './signer.ts';
import { parseStatement } from './statement.ts';
import type { Signatory, Verifier } from './verifier.ts';

/** Signs files as `model_signing` does: the sigstore bundle that becomes `model.sig`. */
export async function sealModel(
  model: { readonly name: string; readonly files: ModelFiles; readonly ignored: readonly string[] },
  signer: Signer,
): Promise<Buffer> {
  const { envelope, material, verifierPem } = await sealEnvelope(omsStatement(model.name, model.files, model.ignored), signer);
  requireCurve(verifierPem, signer.name);
  if (material.publicKey === undefined || material.publicKey === null) return makeBundle(envelope, { tlogEntries: [], ...material });
  // its readers know a key by the hash of its PEM text, and refuse any other hint
  const hint = createHash('sha256').update(verifierPem).digest('hex');
  return makeBundle(envelope, { tlogEntries: [], ...material, publicKey: { hint } });
}

/** The algorithm registry of the specification has curves only. */
function requireCurve(publicKey: string, name: string): void {
  // of a certificate too
  const type = createPublicKey(publicKey).asymmetricKeyType ?? 'unknown';
  if (type === 'ec') return;
  throw new KitError('UNSUPPORTED', `${name} is a key of type ${type}: model signatures are made with ECDSA keys only`, {
    hint: '`kit generate-key-pair` makes one',
  });
}

/** True for a bundle that claims to sign the files of a model. @throws KitError SIGNATURE_INVALID */
export function claimsModel(bundle: Uint8Array): boolean {
  const { payload } = parseBundle(bundle).envelope;
  return parseStatement(Buffer.from(payload, 'base64')).predicateType === OMS_PREDICATE_TYPE;
}

/** What a bundle signs, once its signature holds. @throws KitError SIGNATURE_INVALID whose message says why it is not accepted */
export async function openModel(bundle: Uint8Array, verifier: Verifier): Promise<SignedModel & { readonly signer: Signatory }> {
  const { payload, signatory } = await openBundle(bundle, verifier);
  return { ...parseSignedModel(payload), signer: signatory };
}
