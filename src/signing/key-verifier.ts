import type { Environment } from './key-file.ts';
import { certificateIn } from './material.ts';
import type { Trust } from './proofs.ts';
import { parsePublicKey, type PublicKey, readPublicKey } from './public-key.ts';
import { notAccepted } from './requirement.ts';
import type { SignedContent, Verifier } from './verifier.ts';

/**
 * Accepts signatures by one public key: a PEM file, `env://NAME`, or that of a key service. Log entries and timestamps are looked at only
 * when there is a `trust` to check them by. @throws KitError PATH_NOT_FOUND | PATH_UNREADABLE | CONFIG_INVALID | UNSUPPORTED | SERVICE_FAILED
 */
export async function openKeyVerifier(name: string, env: Environment = process.env, trust?: Trust): Promise<Verifier> {
  const { openKeyService } = await import('./key-service.ts');
  const service = openKeyService(name, env);
  return keyVerifier(service === undefined ? await readPublicKey(name, env) : parsePublicKey(await service.publicKey(), name), trust);
}

export function keyVerifier(key: PublicKey, trust?: Trust): Verifier {
  const { name, keyId } = key;
  return {
    name,
    verify: async (content) => {
      requireKey(content, key);
      if (trust === undefined) return { type: 'key', name, keyId };
      const { checkProofs } = await import('./proofs.ts');
      const { logs, times } = await checkProofs(content, trust, key);
      return { type: 'key', name, keyId, logs, times };
    },
  };
}

function requireKey({ data, signature, material }: SignedContent, key: PublicKey): void {
  const { publicKey } = material;
  const certificate = certificateIn(material);
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
