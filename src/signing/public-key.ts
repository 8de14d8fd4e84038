import { createPublicKey, type KeyObject, verify } from 'node:crypto';
import { KitError } from '../errors.ts';
import { type Environment, pemLabels, readKeyText } from './key-file.ts';
import { hashesOf, keyIdOf } from './key-type.ts';

/** A key that signatures are checked with. */
export interface PublicKey {
  /** How messages name it: the path of its file. */
  readonly name: string;
  /** See Signatory. */
  readonly keyId: string;
  readonly key: KeyObject;
  /** True when `signature` is one over `data` by this key. A malformed signature is none. */
  verifies(data: Uint8Array, signature: Uint8Array): boolean;
}

/** A PEM file (or `env://NAME`) with one public key. @throws KitError PATH_NOT_FOUND | PATH_UNREADABLE | CONFIG_INVALID | UNSUPPORTED */
export async function readPublicKey(name: string, env: Environment = process.env): Promise<PublicKey> {
  return parsePublicKey(await readKeyText(name, env), name);
}

/** `name` goes into messages. @throws KitError CONFIG_INVALID */
export function parsePublicKey(pem: string, name: string): PublicKey {
  const labels = pemLabels(pem);
  // node:crypto would quietly take the public half
  if (labels.some((label) => label.endsWith('PRIVATE KEY'))) throw privateKey(name);
  const [label, ...others] = labels;
  if (label === undefined) throw invalid(name, 'it is not a PEM file');
  if (others.length > 0) throw invalid(name, 'it holds more than one PEM block');
  if (label !== 'PUBLIC KEY' && label !== 'RSA PUBLIC KEY') throw invalid(name, `it holds a ${label}, not a PUBLIC KEY`);
  let key: KeyObject;
  try {
    key = createPublicKey(pem);
  } catch (cause) {
    throw invalid(name, 'its PEM block holds no key', cause);
  }
  const hashes = hashesOf(key);
  if (typeof hashes === 'string') throw invalid(name, hashes);
  return {
    name,
    keyId: keyIdOf(key),
    key,
    verifies: (data, signature) => hashes.some((hash) => isSignature({ hash, data, key, signature })),
  };
}

interface Signed {
  /** Null where the algorithm hashes by itself. */
  readonly hash: string | null;
  readonly data: Uint8Array;
  readonly key: KeyObject;
  readonly signature: Uint8Array;
}

function isSignature({ hash, data, key, signature }: Signed): boolean {
  try {
    return verify(hash, data, key, signature);
  } catch {
    // OpenSSL refuses some malformed signatures with an error
    return false;
  }
}

function invalid(name: string, why: string, cause?: unknown): KitError {
  return new KitError('CONFIG_INVALID', `${name} is no usable public key: ${why}`, {
    hint: 'give a PEM file with an ECDSA (P-256, P-384, P-521), RSA or Ed25519 public key, such as cosign.pub',
    cause,
  });
}

function privateKey(name: string): KitError {
  return new KitError('CONFIG_INVALID', `${name} is a private key: signatures are checked with the public one`, {
    hint: 'give the `.pub` file beside it, or make one: `cosign public-key --key FILE`, `openssl pkey -in FILE -pubout`',
  });
}
