import { randomBytes, scrypt } from 'node:crypto';
import { promisify } from 'node:util';
import * as z from 'zod';
import { KitError } from '../errors.ts';

/** What stands in the PEM block of cosign's key files, the older name too. */
export const ENCRYPTED_LABELS: ReadonlySet<string> = new Set(['ENCRYPTED SIGSTORE PRIVATE KEY', 'ENCRYPTED COSIGN PRIVATE KEY']);
const LABEL = 'ENCRYPTED SIGSTORE PRIVATE KEY';

/** Cosign's own: 64 MiB and a tenth of a second. */
const COST = 65_536;
// the costs that cosign reads: any other could ask for any amount of memory
const costs = z.union([z.literal(32_768), z.literal(65_536), z.literal(131_072)]);
const boxSchema = z.looseObject({
  kdf: z.looseObject({
    name: z.literal('scrypt'),
    params: z.looseObject({ N: costs, r: z.literal(8), p: z.literal(1) }),
    salt: z.base64().min(1),
  }),
  cipher: z.looseObject({ name: z.literal('nacl/secretbox'), nonce: z.base64() }),
  ciphertext: z.base64(),
});
const NONCE_BYTES = 24;

/** The text of a key file as cosign writes it: `der` (PKCS#8) in a NaCl secretbox whose key scrypt makes from the password. */
export async function sealKey(der: Uint8Array, password: string): Promise<string> {
  const salt = randomBytes(32);
  const nonce = randomBytes(NONCE_BYTES);
  const { xsalsa20poly1305 } = await import('@noble/ciphers/salsa.js');
  const box = xsalsa20poly1305(await deriveKey(password, salt, COST), nonce).encrypt(der);
  const json = JSON.stringify({
    kdf: { name: 'scrypt', params: { N: COST, r: 8, p: 1 }, salt: salt.toString('base64') },
    cipher: { name: 'nacl/secretbox', nonce: nonce.toString('base64') },
    ciphertext: Buffer.from(box).toString('base64'),
  });
  const lines =
    Buffer.from(json)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${LABEL}-----\n${lines.join('\n')}\n-----END ${LABEL}-----\n`;
}

/** The PKCS#8 DER in such a text; `name` goes into messages. @throws KitError CONFIG_INVALID when it is damaged or the password wrong */
export async function openKey(pem: string, password: string, name: string): Promise<Buffer> {
  const { kdf, cipher, ciphertext } = parseBox(pem, name);
  const nonce = Buffer.from(cipher.nonce, 'base64');
  if (nonce.byteLength !== NONCE_BYTES) throw damaged(name);
  const key = await deriveKey(password, Buffer.from(kdf.salt, 'base64'), kdf.params.N);
  const { xsalsa20poly1305 } = await import('@noble/ciphers/salsa.js');
  try {
    return Buffer.from(xsalsa20poly1305(key, nonce).decrypt(Buffer.from(ciphertext, 'base64')));
  } catch (cause) {
    throw new KitError('CONFIG_INVALID', `${name}: the password is wrong, or the key file is damaged`, {
      hint: 'the password is taken from $KIT_KEY_PASSWORD or $COSIGN_PASSWORD where one of them is set',
      cause,
    });
  }
}

function parseBox(pem: string, name: string): z.infer<typeof boxSchema> {
  const [, body = ''] = /-----BEGIN [A-Z ]+-----([A-Za-z0-9+/=\s]+)-----END /.exec(pem) ?? [];
  try {
    return boxSchema.parse(JSON.parse(Buffer.from(body, 'base64').toString('utf8')));
  } catch (cause) {
    throw damaged(name, cause);
  }
}

async function deriveKey(password: string, salt: Uint8Array, cost: number): Promise<Buffer> {
  const derive = promisify<string, Uint8Array, number, object, Buffer>(scrypt);
  return await derive(password, salt, 32, { N: cost, r: 8, p: 1, maxmem: 256 * 1024 * 1024 });
}

function damaged(name: string, cause?: unknown): KitError {
  return new KitError('CONFIG_INVALID', `${name} is no key file of cosign's format (scrypt, nacl/secretbox)`, {
    hint: 'restore it from a backup, or make a new pair: `kit generate-key-pair`',
    cause,
  });
}
