import type { VerificationMaterial } from './material.ts';

/** One signature with the bytes that it is over: nothing of it is believed yet. */
export interface SignedContent {
  /** What was signed, as it was signed: the encoding of an envelope, the payload of the older format. */
  readonly data: Uint8Array;
  readonly signature: Uint8Array;
  readonly material: VerificationMaterial;
}

/** Who is proven to have signed. Identities of short-lived certificates, with time and log, are to join here. */
export interface Signatory {
  readonly type: 'key';
  /** As the user named the key: mostly the path of its file. */
  readonly name: string;
  /** Base64 of the SHA-256 of the public key (SPKI DER), which sigstore bundles carry as `hint`. */
  readonly keyId: string;
}

/** Decides whether a signature is by whom it must be. */
export interface Verifier {
  /** How messages name whoever must have signed. */
  readonly name: string;
  /** @throws KitError SIGNATURE_INVALID whose message says why the signature does not count */
  verify(content: SignedContent): Promise<Signatory>;
}
