import { createPublicKey, type X509Certificate } from 'node:crypto';
import { KitError } from '../errors.ts';
import { readCertificates } from './certificate-file.ts';
import type { Signer } from './signer.ts';

export interface CertificateFiles {
  /** PEM file with the certificate of the signer's key. */
  readonly certificate: string;
  /** PEM file with the certificates above it, which readers may lack. */
  readonly chain?: string | undefined;
}

/**
 * The signer, whose signatures carry its certificate in place of its key: a certificate of an authority of one's own, not one of
 * Fulcio's. @throws KitError CONFIG_INVALID | PATH_NOT_FOUND; from `sign` when the certificate is of another key
 */
export async function certified(signer: Signer, { certificate, chain }: CertificateFiles): Promise<Signer> {
  const [leaf, ...rest] = await readCertificates(certificate);
  const above = [...rest, ...(chain === undefined ? [] : await readCertificates(chain))];
  const certificates = [leaf, ...withoutRepeats(above, leaf)].map(({ raw }) => ({ rawBytes: raw.toString('base64') }));
  return {
    name: signer.name,
    sign: async (data) => {
      const { signature, material, verifierPem } = await signer.sign(data);
      if (!leaf.publicKey.equals(createPublicKey(verifierPem))) {
        throw new KitError('CONFIG_INVALID', `${certificate} is the certificate of another key than ${signer.name}`, {
          hint: 'give the private key that the certificate was issued for',
        });
      }
      const { publicKey: _, ...proofs } = material;
      return { signature, material: { ...proofs, x509CertificateChain: { certificates } }, verifierPem: leaf.toString() };
    },
  };
}

/** A chain file mostly holds the signer's certificate, too. */
function withoutRepeats(certificates: readonly X509Certificate[], leaf: X509Certificate): X509Certificate[] {
  const seen = new Set([leaf.fingerprint256]);
  return certificates.filter(({ fingerprint256 }) => !seen.has(fingerprint256) && seen.add(fingerprint256));
}
