import { createPublicKey, generateKeyPairSync, type KeyObject, sign, X509Certificate } from 'node:crypto';
import { KitError } from '../errors.ts';
import { requestCertificate } from './fulcio.ts';
import type { IdentityToken } from './identity-token.ts';
import type { Signer } from './signer.ts';

export interface KeylessOptions {
  /** Base URL of the certificate authority (Fulcio). */
  readonly fulcioUrl: string;
  /** Called when a certificate is needed. */
  readonly identity: () => Promise<IdentityToken>;
  readonly signal?: AbortSignal | undefined;
}

/** A signature made now must be dated, by a log or an authority, before its certificate ends. */
const MARGIN_MS = 60_000;

interface Certified {
  readonly key: KeyObject;
  readonly certificate: X509Certificate;
  readonly chainPem: string;
}

/**
 * Signs with a key that exists only here and now, and a certificate that says whose it is. Several signatures share one certificate
 * while it lasts. @throws KitError IDENTITY_FAILED | SERVICE_FAILED | NETWORK from `sign`
 */
export function keylessSigner(options: KeylessOptions): Signer {
  let current: Certified | undefined;
  return {
    name: options.fulcioUrl,
    sign: async (data) => {
      if (current === undefined || current.certificate.validToDate.getTime() - MARGIN_MS < Date.now()) current = await certify(options);
      const { key, certificate, chainPem } = current;
      const material = { certificate: { rawBytes: certificate.raw.toString('base64') } };
      return { signature: sign('sha256', data, key), material, verifierPem: certificate.toString(), chainPem };
    },
  };
}

async function certify({ fulcioUrl, identity, signal }: KeylessOptions): Promise<Certified> {
  const { token, subject } = await identity();
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const [leaf, ...chain] = await requestCertificate(fulcioUrl, {
    token,
    publicKeyPem: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
    proofOfPossession: sign('sha256', Buffer.from(subject), privateKey),
    signal,
  });
  return { key: privateKey, certificate: parse(leaf, privateKey, fulcioUrl), chainPem: chain.map((pem) => `${pem.trim()}\n`).join('') };
}

function parse(pem: string, key: KeyObject, fulcioUrl: string): X509Certificate {
  try {
    const certificate = new X509Certificate(pem);
    if (certificate.publicKey.equals(createPublicKey(key))) return certificate;
  } catch {
    // as one for another key
  }
  throw new KitError('SERVICE_FAILED', `the certificate authority at ${fulcioUrl} gave no certificate for the key that it was asked for`);
}
