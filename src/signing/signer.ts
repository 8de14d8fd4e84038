import type { VerificationMaterial } from './material.ts';

/** A signature, with what a verifier needs to know about the signer. */
export interface SignedBytes {
  /** DER for ECDSA. */
  readonly signature: Buffer;
  readonly material: VerificationMaterial;
  /** PEM of what checks the signature: the certificate, or the public key. Logs record it. */
  readonly verifierPem: string;
  /** PEM of the certificates above the signer's, its root last: only cosign's older format carries them. */
  readonly chainPem?: string;
}

/** Signs bytes: with a key file, a key service, or a short-lived certificate. */
export interface Signer {
  /** How messages name it. */
  readonly name: string;
  sign(data: Uint8Array): Promise<SignedBytes>;
}

/** Somebody else's proof about a signature: a log that lists it, an authority that dates it. */
export interface Witness {
  /** What is to be added to the material. @throws KitError SERVICE_FAILED | NETWORK */
  testify(data: Uint8Array, signed: SignedBytes): Promise<Pick<VerificationMaterial, 'tlogEntries' | 'timestampVerificationData'>>;
}

/** The signer, with the proof of each witness added to every signature. */
export function witnessed(signer: Signer, witnesses: readonly Witness[]): Signer {
  if (witnesses.length === 0) return signer;
  return {
    name: signer.name,
    sign: async (data) => {
      const signed = await signer.sign(data);
      const proofs = await Promise.all(witnesses.map(async (witness) => await witness.testify(data, signed)));
      const tlogEntries = proofs.flatMap((proof) => proof.tlogEntries ?? []);
      const rfc3161Timestamps = proofs.flatMap((proof) => proof.timestampVerificationData?.rfc3161Timestamps ?? []);
      const material = {
        ...signed.material,
        ...(tlogEntries.length > 0 && { tlogEntries }),
        ...(rfc3161Timestamps.length > 0 && { timestampVerificationData: { rfc3161Timestamps } }),
      };
      return { ...signed, material };
    },
  };
}
