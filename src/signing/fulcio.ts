import * as z from 'zod';
import { KitError } from '../errors.ts';
import { askService, replyJson } from './ask-service.ts';

const replySchema = z.looseObject({
  signedCertificateEmbeddedSct: z.looseObject({ chain: z.looseObject({ certificates: z.array(z.string()).min(1) }) }).optional(),
  signedCertificateDetachedSct: z.looseObject({ chain: z.looseObject({ certificates: z.array(z.string()).min(1) }) }).optional(),
});

export interface CertificateRequest {
  /** Proves who asks: a secret. */
  readonly token: string;
  readonly publicKeyPem: string;
  /** Signature over the subject of the token. */
  readonly proofOfPossession: Buffer;
  readonly signal?: AbortSignal | undefined;
}

/**
 * A short-lived certificate for the key, by the authority at `base` (API v2 of Fulcio): PEM, the signer's first.
 * @throws KitError SERVICE_FAILED | NETWORK
 */
export async function requestCertificate(base: string, request: CertificateRequest): Promise<readonly [string, ...string[]]> {
  const url = new URL(`${base.replace(/\/$/, '')}/api/v2/signingCert`);
  const what = 'the certificate authority';
  const body = JSON.stringify({
    credentials: { oidcIdentityToken: request.token },
    publicKeyRequest: {
      publicKey: { algorithm: 'ECDSA', content: request.publicKeyPem },
      proofOfPossession: request.proofOfPossession.toString('base64'),
    },
  });
  const reply = await askService(url, what, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body,
    signal: request.signal,
  });
  const parsed = replySchema.safeParse(replyJson(reply, url, what));
  const { data } = parsed;
  const [leaf, ...chain] = (data?.signedCertificateEmbeddedSct ?? data?.signedCertificateDetachedSct)?.chain.certificates ?? [];
  if (leaf === undefined) throw new KitError('SERVICE_FAILED', `${what} at ${url.href} answered without a certificate`);
  return [leaf, ...chain];
}
