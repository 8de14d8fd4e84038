import { KitError } from '../errors.ts';
import type { Digest } from '../oci/digest.ts';
import { plainText } from '../registry/redact.ts';
import type { PublicKey } from './public-key.ts';

/**
 * What a signature must prove to be accepted: signed by `key`, about `digest`, with `annotations`. Identities of keyless signers,
 * log proofs and the predicate types of attestations are to join here.
 */
export interface SignatureRequirement {
  readonly key: PublicKey;
  /** Of the manifest. */
  readonly digest: Digest;
  /** Each must be signed along with the digest; others may be there too. */
  readonly annotations: Readonly<Record<string, string>>;
}

/** Why one signature is not accepted. `why` follows the word "because"; text of others in it is made harmless. */
export function notAccepted(why: string, cause?: unknown): KitError {
  return new KitError('SIGNATURE_INVALID', plainText(why), { cause });
}

/** @throws KitError SIGNATURE_INVALID */
export function requireSignature(data: Uint8Array, signature: string, { key }: SignatureRequirement): void {
  if (!/^[A-Za-z0-9+/_-]+={0,2}$/.test(signature)) throw notAccepted('its signature is not base64');
  if (!key.verifies(data, Buffer.from(signature, 'base64'))) {
    throw notAccepted(`it was changed after signing, or is not by the key ${key.name}`);
  }
}

/** `signed` is what the signature says, of any shape. @throws KitError SIGNATURE_INVALID */
export function requireAnnotations(signed: unknown, { annotations }: SignatureRequirement): void {
  const found = typeof signed === 'object' && signed !== null ? (signed as Readonly<Record<string, unknown>>) : {};
  for (const [name, value] of Object.entries(annotations)) {
    const actual = found[name];
    if (actual === value) continue;
    throw notAccepted(
      typeof actual === 'string'
        ? `its annotation ${name} is \`${actual}\`, not \`${value}\``
        : `it has no annotation ${name} (\`${value}\` is required)`,
    );
  }
}
