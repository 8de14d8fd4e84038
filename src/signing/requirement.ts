import { KitError } from '../errors.ts';
import type { Digest } from '../oci/digest.ts';
import { plainText } from '../registry/redact.ts';
import type { Verifier } from './verifier.ts';

/** What a signature must prove to be accepted: by whom it is, about what, with which annotations. */
export interface SignatureRequirement {
  readonly verifier: Verifier;
  /** Of the manifest. */
  readonly digest: Digest;
  /** Each must be signed along with the digest; others may be there too. */
  readonly annotations: Readonly<Record<string, string>>;
}

/** What an attestation must prove. */
export interface AttestationRequirement {
  readonly verifier: Verifier;
  /** Of the manifest. */
  readonly digest: Digest;
  /** Undefined: any, but a plain signature is no attestation. */
  readonly predicateType: string | undefined;
}

/** Why one signature is not accepted. `why` follows the word "because"; text of others in it is made harmless. */
export function notAccepted(why: string, cause?: unknown): KitError {
  return new KitError('SIGNATURE_INVALID', plainText(why), { cause });
}

/** The bytes of a signature in base64. @throws KitError SIGNATURE_INVALID */
export function decodeSignature(text: string): Buffer {
  if (!/^[A-Za-z0-9+/_-]+={0,2}$/.test(text)) throw notAccepted('its signature is not base64');
  return Buffer.from(text, 'base64');
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
