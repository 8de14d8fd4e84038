import { generateKeyPair } from 'node:crypto';
import { promisify } from 'node:util';
import { sealKey } from './encrypted-key.ts';
import { keyIdOf } from './key-type.ts';

export interface KeyPair {
  /** Encrypted, as cosign writes and reads it. */
  readonly privatePem: string;
  readonly publicPem: string;
  /** See Signatory. */
  readonly keyId: string;
}

/** A new P-256 pair, which every verifier of the field knows. An empty password still encrypts. */
export async function makeKeyPair(password: string): Promise<KeyPair> {
  const { privateKey, publicKey } = await promisify(generateKeyPair)('ec', { namedCurve: 'P-256' });
  return {
    privatePem: await sealKey(privateKey.export({ type: 'pkcs8', format: 'der' }), password),
    publicPem: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
    keyId: keyIdOf(publicKey),
  };
}
