import { createPrivateKey, createPublicKey, type KeyObject, sign } from 'node:crypto';
import { KitError } from '../errors.ts';
import { ENCRYPTED_LABELS, openKey } from './encrypted-key.ts';
import { type Environment, pemLabels, readKeyText } from './key-file.ts';
import type { KeyService } from './key-service.ts';
import { hashesOf, keyIdOf } from './key-type.ts';
import { parsePublicKey } from './public-key.ts';
import type { Signer } from './signer.ts';

const ENCRYPTED_PKCS8 = 'ENCRYPTED PRIVATE KEY';
const PLAIN_LABELS: ReadonlySet<string> = new Set(['PRIVATE KEY', 'EC PRIVATE KEY', 'RSA PRIVATE KEY', ENCRYPTED_PKCS8]);

export interface KeySignerOptions {
  readonly env?: Environment;
  /** Asked for when the key is encrypted. `name` is that of the key. */
  readonly password?: (name: string) => Promise<string>;
  /** True: the hash of the curve's own size, as model signatures have it. Default: the one that cosign verifies with. */
  readonly ownHash?: boolean;
}

/**
 * Signs with a key file: cosign's (encrypted), or PEM (PKCS#8, SEC 1, PKCS#1). `name` is a path, `env://NAME`, or the key of a service
 * (`openKeyService`). @throws KitError PATH_NOT_FOUND | PATH_UNREADABLE | CONFIG_INVALID | UNSUPPORTED | SERVICE_FAILED
 */
export async function openKeySigner(
  name: string,
  { env = process.env, password, ownHash = false }: KeySignerOptions = {},
): Promise<Signer> {
  const { openKeyService } = await import('./key-service.ts');
  const service = openKeyService(name, env);
  if (service !== undefined) return await serviceSigner(service, name);
  const text = await readKeyText(name, env);
  const ask = async (): Promise<string> => {
    if (password !== undefined) return await password(name);
    throw new KitError('CONFIG_INVALID', `${name} is encrypted and no password was given`);
  };
  return keySigner(await parsePrivateKey(text, name, ask), name, ownHash);
}

/** What the service signs is checked, for a wrong version or algorithm would be noticed by others only. */
async function serviceSigner(service: KeyService, name: string): Promise<Signer> {
  const publicKey = parsePublicKey(await service.publicKey(), name);
  const { key, keyId } = publicKey;
  if (key.asymmetricKeyType === 'ed25519') throw invalid(name, 'keys of services must be ECDSA or RSA');
  const verifierPem = key.export({ type: 'spki', format: 'pem' }).toString();
  return {
    name,
    sign: async (data) => {
      const signature = await service.sign(data);
      if (!publicKey.verifies(data, signature))
        throw new KitError('SERVICE_FAILED', `${name}: what the key service signed is not by its public key`);
      return { signature, material: { publicKey: { hint: keyId } }, verifierPem };
    },
  };
}

/** @throws KitError CONFIG_INVALID for a key that is not for signing */
function keySigner(key: KeyObject, name: string, ownHash: boolean): Signer {
  const hashes = hashesOf(key);
  if (typeof hashes === 'string') throw invalid(name, hashes);
  const hash = (ownHash ? hashes.at(-1) : hashes[0]) ?? null;
  const publicKey = createPublicKey(key);
  const material = { publicKey: { hint: keyIdOf(publicKey) } };
  const verifierPem = publicKey.export({ type: 'spki', format: 'pem' }).toString();
  return { name, sign: async (data) => await Promise.resolve({ signature: sign(hash, data, key), material, verifierPem }) };
}

async function parsePrivateKey(text: string, name: string, password: () => Promise<string>): Promise<KeyObject> {
  // OpenSSL writes the parameters of the curve before the key
  const [label, ...others] = pemLabels(text).filter((one) => one !== 'EC PARAMETERS');
  if (label === undefined) throw invalid(name, 'it is not a PEM file');
  if (others.length > 0) throw invalid(name, 'it holds more than one PEM block');
  if (ENCRYPTED_LABELS.has(label)) {
    const der = await openKey(text, await password(), name);
    return create(name, () => createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }));
  }
  if (label.endsWith('PUBLIC KEY')) throw publicKey(name);
  if (!PLAIN_LABELS.has(label)) throw invalid(name, `it holds a ${label}, not a PRIVATE KEY`);
  // node:crypto would ask on the terminal itself
  const isEncrypted = label === ENCRYPTED_PKCS8 || /^Proc-Type: 4,ENCRYPTED/m.test(text);
  if (!isEncrypted) return create(name, () => createPrivateKey(text));
  const passphrase = await password();
  return create(
    name,
    () => createPrivateKey({ key: text, format: 'pem', passphrase }),
    'the password is wrong, or its PEM block is damaged',
  );
}

function create(name: string, make: () => KeyObject, why = 'its PEM block holds no key'): KeyObject {
  try {
    return make();
  } catch (cause) {
    throw invalid(name, why, cause);
  }
}

function invalid(name: string, why: string, cause?: unknown): KitError {
  return new KitError('CONFIG_INVALID', `${name} is no usable private key: ${why}`, {
    hint: 'give a key of `kit generate-key-pair` or of cosign, or a PEM file with an ECDSA, RSA or Ed25519 private key',
    cause,
  });
}

function publicKey(name: string): KitError {
  return new KitError('CONFIG_INVALID', `${name} is a public key: signatures are made with the private one`, {
    hint: 'give the `.key` file beside it',
  });
}
