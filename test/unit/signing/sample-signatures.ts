import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { bytesSource } from '../../../src/blob-source.ts';
import { describe as descriptorOf, type Descriptor } from '../../../src/oci/descriptor.ts';
import type { Digest } from '../../../src/oci/digest.ts';
import { MEDIA_TYPE } from '../../../src/oci/media-types.ts';
import { keyVerifier } from '../../../src/signing/key-verifier.ts';
import { type PublicKey, parsePublicKey } from '../../../src/signing/public-key.ts';
import type { Verifier } from '../../../src/signing/verifier.ts';
import type { Target } from '../../../src/targets/types.ts';

export const BUNDLE_TYPE = 'application/vnd.dev.sigstore.bundle.v0.3+json';
const IN_TOTO = 'application/vnd.in-toto+json';

export interface Signer {
  readonly key: PublicKey;
  readonly verifier: Verifier;
  readonly pem: string;
  /** DER for ECDSA. */
  sign(data: Uint8Array, hash?: string | null): string;
}

/** A fresh P-256 key, or the pair that is given. */
export function makeSigner(
  pair: { privateKey: KeyObject; publicKey: KeyObject } = generateKeyPairSync('ec', { namedCurve: 'P-256' }),
): Signer {
  const pem = pair.publicKey.export({ type: 'spki', format: 'pem' });
  const key = parsePublicKey(pem.toString(), 'test.pub');
  return {
    pem: pem.toString(),
    key,
    verifier: keyVerifier(key),
    sign: (data, hash = 'sha256') => sign(hash, data, pair.privateKey).toString('base64'),
  };
}

export function statement(digest: Digest, changes: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  return {
    _type: 'https://in-toto.io/Statement/v1',
    subject: [{ digest: { sha256: digest.slice('sha256:'.length) }, annotations: {} }],
    predicateType: 'https://sigstore.dev/cosign/sign/v1',
    predicate: {},
    ...changes,
  };
}

/** The bundle that cosign writes for a statement; `change` edits it after signing. */
export function bundle(
  signer: Signer,
  content: unknown,
  change: (bundle: Record<string, unknown>) => Record<string, unknown> = (same) => same,
  payloadType = IN_TOTO,
): Buffer {
  const payload = Buffer.from(typeof content === 'string' ? content : JSON.stringify(content));
  const signed = Buffer.concat([Buffer.from(`DSSEv1 ${payloadType.length} ${payloadType} ${payload.length} `), payload]);
  const made = {
    mediaType: BUNDLE_TYPE,
    verificationMaterial: { publicKey: { hint: 'x' } },
    dsseEnvelope: { payload: payload.toString('base64'), payloadType, signatures: [{ sig: signer.sign(signed) }] },
  };
  return Buffer.from(JSON.stringify(change(made)));
}

export function simplePayload(digest: Digest, optional: unknown = null, type = 'cosign container image signature'): Buffer {
  const critical = { identity: { 'docker-reference': 'localhost:5000/m' }, image: { 'docker-manifest-digest': digest }, type };
  return Buffer.from(JSON.stringify({ critical, optional }));
}

export async function pushBlob(target: Target, mediaType: string, bytes: Uint8Array): Promise<Descriptor> {
  const blob = descriptorOf(mediaType, bytes);
  await target.push(blob, bytesSource(bytes));
  return blob;
}

/** Pushes a manifest of these fields over the empty config. */
export async function pushManifest(target: Target, fields: Readonly<Record<string, unknown>>): Promise<Descriptor> {
  const config = await pushBlob(target, MEDIA_TYPE.emptyJson, Buffer.from('{}'));
  const manifest = { schemaVersion: 2, mediaType: MEDIA_TYPE.imageManifest, config, layers: [], ...fields };
  return await pushBlob(target, MEDIA_TYPE.imageManifest, Buffer.from(JSON.stringify(manifest)));
}

/** Attaches a bundle to `subject` as cosign does. */
export async function attachBundle(target: Target, subject: Descriptor, bytes: Uint8Array): Promise<Descriptor> {
  const layer = await pushBlob(target, BUNDLE_TYPE, bytes);
  return await pushManifest(target, { artifactType: BUNDLE_TYPE, layers: [layer], subject });
}

/** Puts signatures of cosign's older format under the tag of `subject`. */
export async function attachLegacy(
  target: Target,
  subject: Descriptor,
  signatures: readonly { readonly payload: Buffer; readonly annotations: Readonly<Record<string, string>> }[],
): Promise<Descriptor[]> {
  const layers: Descriptor[] = [];
  for (const { payload, annotations } of signatures) {
    layers.push({ ...(await pushBlob(target, 'application/vnd.dev.cosign.simplesigning.v1+json', payload)), annotations });
  }
  await target.tag(await pushManifest(target, { layers }), `${subject.digest.replace(':', '-')}.sig`);
  return layers;
}

export const SIGNATURE = 'dev.cosignproject.cosign/signature';

/** Why `check` refuses; undefined when it accepts. */
export async function refusal(check: () => Promise<unknown>): Promise<string | undefined> {
  try {
    await check();
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}
