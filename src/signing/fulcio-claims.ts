import { X509Certificate } from '@sigstore/core';

/** Extensions of Fulcio's certificates (oid-info.md), DER strings, below 1.3.6.1.4.1.57264.1. */
const CLAIMS: Readonly<Record<number, string>> = {
  9: 'buildSignerURI',
  10: 'buildSignerDigest',
  11: 'runnerEnvironment',
  12: 'sourceRepositoryURI',
  13: 'sourceRepositoryDigest',
  14: 'sourceRepositoryRef',
  15: 'sourceRepositoryIdentifier',
  16: 'sourceRepositoryOwnerURI',
  17: 'sourceRepositoryOwnerIdentifier',
  18: 'buildConfigURI',
  19: 'buildConfigDigest',
  20: 'buildTrigger',
  21: 'runInvocationURI',
  22: 'sourceRepositoryVisibilityAtSigning',
};

/** What a certificate (DER) says of the build that it was given to, by Fulcio's names. */
export function fulcioClaims(der: Buffer<ArrayBuffer>): Record<string, string> {
  const certificate = X509Certificate.parse(der);
  const claims: Record<string, string> = {};
  for (const [number, name] of Object.entries(CLAIMS)) {
    const value = certificate.extension(`1.3.6.1.4.1.57264.1.${number}`)?.valueObj.subs[0]?.value.toString('utf8');
    if (value !== undefined) claims[name] = value;
  }
  return claims;
}
