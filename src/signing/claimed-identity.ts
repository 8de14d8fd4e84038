import { X509Certificate } from '@sigstore/core';
import { KitError } from '../errors.ts';
import { parseBundle } from './bundle.ts';
import { certificateIn } from './material.ts';
import type { Unverified } from './unverified.ts';

const ISSUER = '1.3.6.1.4.1.57264.1.8';
const OLDER_ISSUER = '1.3.6.1.4.1.57264.1.1';

/** Who a signature says that it is by. */
export interface ClaimedIdentity {
  readonly identity: string;
  readonly issuer: string | undefined;
}

/** By the certificate in a signature, of which nothing was checked; undefined for one by a key, and for what cannot be read. */
export function claimedIdentity({ kind, text }: Pick<Unverified, 'kind' | 'text'>): ClaimedIdentity | undefined {
  try {
    const certificate = kind === 'bundle' ? certificateOfBundle(text) : (JSON.parse(text) as { Cert?: string | null }).Cert;
    if (certificate === undefined || certificate === null) return undefined;
    const parsed = X509Certificate.parse(certificate.startsWith('-----') ? certificate : Buffer.from(certificate, 'base64'));
    const issuer = parsed.extension(ISSUER)?.valueObj.subs[0]?.value ?? parsed.extension(OLDER_ISSUER)?.value;
    const identity = parsed.subjectAltName;
    return identity === undefined ? undefined : { identity, issuer: issuer?.toString('utf8') };
  } catch (error) {
    // whatever a parser of foreign bytes throws
    if (error instanceof KitError || error instanceof Error) return undefined;
    throw error;
  }
}

function certificateOfBundle(text: string): string | undefined {
  return certificateIn(parseBundle(Buffer.from(text)).material);
}
