import * as z from 'zod';

/**
 * What a signature brings along about its signer: VerificationMaterial of sigstore_bundle.proto as JSON. Signatures of cosign's older
 * format are brought into this shape. Only a Verifier decides what of it counts.
 */
export const materialSchema = z.looseObject({
  publicKey: z.looseObject({ hint: z.string().optional() }).nullish(),
  certificate: z.unknown().optional(),
  x509CertificateChain: z.unknown().optional(),
});

export type VerificationMaterial = z.infer<typeof materialSchema>;
