import { createPublicKey, type KeyObject, verify } from 'node:crypto';
import { open } from 'node:fs/promises';
import { KitError } from '../errors.ts';

/** A key that signatures are checked with. Signers known by a certificate will stand beside it. */
export interface PublicKey {
  /** How messages name it: the path of its file. */
  readonly name: string;
  /** True when `signature` is one over `data` by this key. A malformed signature is none. */
  verifies(data: Uint8Array, signature: Uint8Array): boolean;
}

const MAX_KEY_BYTES = 64 * 1024;
const MIN_RSA_BITS = 2048;
/** Cosign verifies with SHA-256 whatever the curve, but its signer takes the hash of the curve's own size. */
const HASHES_BY_CURVE: Readonly<Record<string, readonly string[]>> = {
  prime256v1: ['sha256'],
  secp384r1: ['sha384', 'sha256'],
  secp521r1: ['sha512', 'sha256'],
};

/** A PEM file with one public key. @throws KitError PATH_NOT_FOUND | PATH_UNREADABLE | CONFIG_INVALID */
export async function readPublicKey(file: string): Promise<PublicKey> {
  if (/^[a-z][a-z0-9+.-]+:\/\//i.test(file)) {
    throw new KitError('UNSUPPORTED', `${file}: only files are read as public keys`, {
      hint: 'export the public key as PEM and give the path of that file',
    });
  }
  return parsePublicKey(await readText(file), file);
}

async function readText(file: string): Promise<string> {
  const bytes = Buffer.alloc(MAX_KEY_BYTES + 1);
  let length = 0;
  try {
    await using handle = await open(file, 'r');
    // a pipe gives less than was asked for, and has no size
    for (let read = 1; read > 0 && length < bytes.length; length += read) {
      ({ bytesRead: read } = await handle.read(bytes, length, bytes.length - length, null));
    }
  } catch (cause) {
    const isMissing = ['ENOENT', 'ENOTDIR'].includes((cause as NodeJS.ErrnoException).code ?? '');
    if (isMissing) throw new KitError('PATH_NOT_FOUND', `there is no key file ${file}`, { hint: 'check the path after `--key`', cause });
    throw new KitError('PATH_UNREADABLE', `the key file ${file} cannot be read`, {
      hint: 'it must be a PEM file that you may read',
      cause,
    });
  }
  if (length > MAX_KEY_BYTES) throw invalid(file, `it has more than ${MAX_KEY_BYTES} bytes`);
  return bytes.toString('latin1', 0, length);
}

/** `name` goes into messages. @throws KitError CONFIG_INVALID */
export function parsePublicKey(pem: string, name: string): PublicKey {
  const labels = [...pem.matchAll(/^-----BEGIN ([A-Z0-9 ]+)-----\s*$/gm)].map(([, label]) => label ?? '');
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
  const hashes = hashesFor(key, name);
  return { name, verifies: (data, signature) => hashes.some((hash) => isSignature({ hash, data, key, signature })) };
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

function hashesFor(key: KeyObject, name: string): readonly (string | null)[] {
  const { namedCurve, modulusLength } = key.asymmetricKeyDetails ?? {};
  switch (key.asymmetricKeyType) {
    case 'ed25519':
      return [null];
    case 'ec': {
      const hashes = HASHES_BY_CURVE[namedCurve ?? ''];
      if (hashes === undefined) throw invalid(name, `keys on the curve ${namedCurve ?? 'without a name'} are not supported`);
      return hashes;
    }
    case 'rsa':
      if (modulusLength === undefined || modulusLength < MIN_RSA_BITS) {
        throw invalid(name, `an RSA key of ${modulusLength ?? 0} bits is too weak, ${MIN_RSA_BITS} is the least`);
      }
      return ['sha256'];
    default:
      throw invalid(name, `keys of type ${key.asymmetricKeyType ?? 'unknown'} are not supported`);
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
