import type { VerificationMaterial } from './material.ts';

/** One signature with the bytes that it is over: nothing of it is believed yet. */
export interface SignedContent {
  /** What was signed, as it was signed: the encoding of an envelope, the payload of the older format. */
  readonly data: Uint8Array;
  readonly signature: Uint8Array;
  readonly material: VerificationMaterial;
}

/** An entry of a transparency log that lists the signature. */
export interface LogProof {
  /** The log, as the trusted root names it. */
  readonly url: string;
  readonly index: string;
}

/** What was proven besides the signature itself. */
interface Proofs {
  readonly logs?: readonly LogProof[];
  /** When it existed (RFC 3339), as a log or a timestamp authority says. */
  readonly times?: readonly { readonly by: 'log' | 'timestamp-authority'; readonly time: string }[];
}

export interface KeySignatory extends Proofs {
  readonly type: 'key';
  /** As the user named the key: mostly the path of its file. */
  readonly name: string;
  /** All names that a policy has for it. */
  readonly names?: readonly string[];
  /** Base64 of the SHA-256 of the public key (SPKI DER), which sigstore bundles carry as `hint`. */
  readonly keyId: string;
}

/** Somebody whose identity an authority has put into a short-lived certificate. */
export interface IdentitySignatory extends Proofs {
  readonly type: 'identity';
  /** E-mail address or URI: the subject alternative name of the certificate. */
  readonly identity: string;
  /** Who vouches for it: the URL of the OpenID Connect issuer. */
  readonly issuer: string;
  /** What the authority says of the build: `sourceRepositoryURI`, `sourceRepositoryRef` and so on, in Fulcio's words. */
  readonly claims: Readonly<Record<string, string>>;
}

/** Who is proven to have signed. */
export type Signatory = KeySignatory | IdentitySignatory;

/** Decides whether a signature is by whom it must be. */
export interface Verifier {
  /** How messages name whoever must have signed. */
  readonly name: string;
  /** @throws KitError SIGNATURE_INVALID whose message says why the signature does not count */
  verify(content: SignedContent): Promise<Signatory>;
}
