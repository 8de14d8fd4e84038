import type { Environment } from './key-file.ts';
import { type PublicKey, readPublicKey } from './public-key.ts';
import { notAccepted } from './requirement.ts';
import type { SignedContent, Verifier } from './verifier.ts';

/**
 * Accepts signatures by one public key: a PEM file, or `env://NAME`. Log entries are not looked at.
 * @throws KitError PATH_NOT_FOUND | PATH_UNREADABLE | CONFIG_INVALID | UNSUPPORTED
 */
export async function openKeyVerifier(name: string, env?: Environment): Promise<Verifier> {
  return keyVerifier(await readPublicKey(name, env));
}

export function keyVerifier(key: PublicKey): Verifier {
  return {
    name: key.name,
    verify: async (content) => {
      requireKey(content, key);
      return await Promise.resolve({ type: 'key', name: key.name, keyId: key.keyId });
    },
  };
}

function requireKey({ data, signature, material }: SignedContent, key: PublicKey): void {
  const { publicKey } = material;
  const certificate = material.certificate ?? material.x509CertificateChain ?? undefined;
  const isKey = publicKey !== undefined && publicKey !== null;
  if (certificate !== undefined) {
    throw notAccepted(
      isKey
        ? 'it names both a key and a certificate, and only one can have signed it'
        : 'it was signed with a certificate, and a key is required',
    );
  }
  if (!isKey) throw notAccepted('the bundle does not say that it was signed with a key');
  if (key.verifies(data, signature)) return;
  // the hint is a claim: it only helps whoever looks for the mistake
  const hint = publicKey.hint ?? '';
  const claim = hint === '' ? '' : hint === key.keyId ? ' (it names this key)' : ` (it names the key ${hint})`;
  throw notAccepted(`it was changed after signing, or is not by the key ${key.name}${claim}`);
}
