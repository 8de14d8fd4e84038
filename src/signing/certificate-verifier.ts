import { X509Certificate } from 'node:crypto';
import { plainText } from '../registry/redact.ts';
import { readCertificates } from './certificate-file.ts';
import { nameOf, oneLine, parseCertificate, requirePath } from './certificate-path.ts';
import { certificateIn, type VerificationMaterial } from './material.ts';
import { parsePublicKey } from './public-key.ts';
import { notAccepted } from './requirement.ts';
import type { Verifier } from './verifier.ts';

/**
 * Accepts signatures by whomever an authority of `file` (PEM) has certified, as `model_signing verify certificate` does: nothing proves
 * when a signature was made, so a certificate counts as long as its authority was valid when it was issued.
 * @throws KitError PATH_NOT_FOUND | PATH_UNREADABLE | CONFIG_INVALID
 */
export async function openCertificateVerifier(file: string): Promise<Verifier> {
  const trusted = await readCertificates(file);
  const name = `a certificate by an authority of ${file}`;
  return {
    name,
    verify: async ({ data, signature, material }) => {
      const [leaf, ...intermediates] = certificatesIn(material);
      if (leaf === undefined) throw notAccepted('it was signed with a key, and a certificate is required');
      if (material.publicKey !== undefined && material.publicKey !== null)
        throw notAccepted('it names both a key and a certificate, and only one can have signed it');
      const { maySign, unknownExtension } = await parseCertificate(leaf);
      if (unknownExtension !== undefined)
        throw notAccepted(`its certificate has the critical extension ${unknownExtension}, which is not understood`);
      await requirePath(leaf, intermediates, trusted, file);
      if (!maySign) throw notAccepted(`its certificate (${nameOf(leaf)}) may not be used for signing: its key usage says so`);
      const key = parsePublicKey(leaf.publicKey.export({ type: 'spki', format: 'pem' }).toString(), 'the key of its certificate');
      if (!key.verifies(data, signature)) throw notAccepted('it was changed after signing, or is not by the key of its certificate');
      return {
        type: 'identity',
        identity: plainText(nameOf(leaf)),
        issuer: plainText(oneLine(leaf.issuer)),
        claims: {
          fingerprint: leaf.fingerprint256,
          serialNumber: leaf.serialNumber,
          validFrom: leaf.validFromDate.toISOString(),
          validTo: leaf.validToDate.toISOString(),
          ...(leaf.subjectAltName !== undefined && { subjectAltName: plainText(leaf.subjectAltName) }),
        },
      };
    },
  };
}

/** The signer's first. @throws KitError SIGNATURE_INVALID */
function certificatesIn(material: VerificationMaterial): X509Certificate[] {
  const signer = certificateIn(material);
  const chain = (material.x509CertificateChain?.certificates ?? []).map(({ rawBytes }) => rawBytes);
  return [...new Set([...(signer === undefined ? [] : [signer]), ...chain])].map((der) => {
    try {
      return new X509Certificate(Buffer.from(der, 'base64'));
    } catch (cause) {
      throw notAccepted('a certificate that it carries is malformed', cause);
    }
  });
}
