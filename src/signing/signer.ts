import type { VerificationMaterial } from './material.ts';

/** A signature, with what a verifier needs to know about the signer. */
export interface SignedBytes {
  /** DER for ECDSA. */
  readonly signature: Buffer;
  readonly material: VerificationMaterial;
}

/** Signs bytes: with a key file now. Key services and short-lived certificates implement the same; a log or timestamp authority
 * wraps a signer and adds its proof to `material`. */
export interface Signer {
  /** How messages name it. */
  readonly name: string;
  sign(data: Uint8Array): Promise<SignedBytes>;
}
