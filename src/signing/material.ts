import * as z from 'zod';

const certificateSchema = z.looseObject({ rawBytes: z.base64() });

/**
 * What a signature brings along about its signer: VerificationMaterial of sigstore_bundle.proto as JSON. Signatures of cosign's older
 * format are brought into this shape. Only a Verifier decides what of it counts.
 */
export const materialSchema = z.looseObject({
  publicKey: z.looseObject({ hint: z.string().optional() }).nullish(),
  certificate: certificateSchema.nullish(),
  /** Of older bundles. The first one is the signer's. */
  x509CertificateChain: z.looseObject({ certificates: z.array(certificateSchema).min(1).max(16) }).nullish(),
  // one signature needs one or two: more only keep us busy
  tlogEntries: z.array(z.unknown()).max(16).nullish(),
  timestampVerificationData: z
    .looseObject({
      rfc3161Timestamps: z
        .array(z.looseObject({ signedTimestamp: z.base64() }))
        .max(16)
        .nullish(),
    })
    .nullish(),
});

export type VerificationMaterial = z.infer<typeof materialSchema>;

/** The DER of the signer's certificate in base64; undefined where there is none. */
export function certificateIn({ certificate, x509CertificateChain }: VerificationMaterial): string | undefined {
  return (certificate ?? x509CertificateChain?.certificates[0])?.rawBytes;
}
