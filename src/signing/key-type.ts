import { createHash, type KeyObject } from 'node:crypto';

const MIN_RSA_BITS = 2048;
/** Cosign verifies with SHA-256 whatever the curve, but its signer takes the hash of the curve's own size. */
const HASHES_BY_CURVE: Readonly<Record<string, readonly string[]>> = {
  prime256v1: ['sha256'],
  secp384r1: ['sha256', 'sha384'],
  secp521r1: ['sha256', 'sha512'],
};

/**
 * The hashes that signatures of a key are made with, the one that every verifier takes first; null where the algorithm hashes by
 * itself. A text says why the key is not for signing.
 */
export function hashesOf(key: KeyObject): readonly (string | null)[] | string {
  const { namedCurve, modulusLength } = key.asymmetricKeyDetails ?? {};
  switch (key.asymmetricKeyType) {
    case 'ed25519':
      return [null];
    case 'ec':
      return HASHES_BY_CURVE[namedCurve ?? ''] ?? `keys on the curve ${namedCurve ?? 'without a name'} are not supported`;
    case 'rsa':
      if (modulusLength !== undefined && modulusLength >= MIN_RSA_BITS) return ['sha256'];
      return `an RSA key of ${modulusLength ?? 0} bits is too weak, ${MIN_RSA_BITS} is the least`;
    default:
      return `keys of type ${key.asymmetricKeyType ?? 'unknown'} are not supported`;
  }
}

/** What cosign writes as `hint`: base64 of the SHA-256 of the public key as SPKI DER. */
export function keyIdOf(publicKey: KeyObject): string {
  return createHash('sha256')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest('base64');
}
