import { generateKeyPairSync, type KeyObject, verify } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openKey, sealKey } from '../../../src/signing/encrypted-key.ts';
import { openKeySigner } from '../../../src/signing/private-key.ts';
import { parsePublicKey, readPublicKey } from '../../../src/signing/public-key.ts';

const KEYS = join(import.meta.dirname, '../../../fixtures/golden/cosign-keys');
const DATA = Buffer.from('the manifest');

const ec = (namedCurve: string) => generateKeyPairSync('ec', { namedCurve });
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const pkcs8 = (key: KeyObject) => key.export({ type: 'pkcs8', format: 'pem' }).toString();
const publicKeyOf = (pair: { publicKey: KeyObject }) =>
  parsePublicKey(pair.publicKey.export({ type: 'spki', format: 'pem' }).toString(), 'test.pub');

/** Signs with the key in a variable. */
async function signerOf(text: string, password?: string) {
  return await openKeySigner('env://KEY', {
    env: { KEY: text },
    ...(password !== undefined && { password: async () => await Promise.resolve(password) }),
  });
}

describe('key files of cosign', () => {
  test('one that cosign wrote', async () => {
    const password = (await readFile(join(KEYS, 'PASSWORD.txt'), 'utf8')).trim();
    const asked: string[] = [];
    const signer = await openKeySigner(join(KEYS, 'cosign.key'), {
      password: async (name) => {
        asked.push(name);
        return await Promise.resolve(password);
      },
    });
    expect(asked).toEqual([join(KEYS, 'cosign.key')]);
    const key = await readPublicKey(join(KEYS, 'cosign.pub'));
    const { signature, material } = await signer.sign(DATA);
    expect(key.verifies(DATA, signature)).toBe(true);
    expect(material).toEqual({ publicKey: { hint: key.keyId } });
    await expect(openKeySigner(join(KEYS, 'cosign.key'), { password: async () => await Promise.resolve('other') })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('cosign.key: the password is wrong') as string,
    });
    await expect(openKeySigner(join(KEYS, 'cosign.key'))).rejects.toThrowError(/no password was given/);
  });

  test.each(['secret', '', 'пароль 模型'])('what was sealed with "%s" is opened with it, and with nothing else', async (password) => {
    const der = ec('P-256').privateKey.export({ type: 'pkcs8', format: 'der' });
    const text = await sealKey(der, password);
    expect(text).toMatch(
      /^-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n([A-Za-z0-9+/=]{1,64}\n)+-----END ENCRYPTED SIGSTORE PRIVATE KEY-----\n$/,
    );
    expect((await openKey(text, password, 'x.key')).equals(der)).toBe(true);
    await expect(openKey(text, `${password}!`, 'x.key')).rejects.toThrowError(/password is wrong/);
  });

  test('one under the older name of its block, in a variable', async () => {
    const [text, password] = await Promise.all(
      ['cosign.key', 'PASSWORD.txt'].map(async (name) => await readFile(join(KEYS, name), 'utf8')),
    );
    const old = text?.replaceAll('SIGSTORE', 'COSIGN') ?? '';
    expect(old).toContain('ENCRYPTED COSIGN PRIVATE KEY');
    expect(await signerOf(old, password?.trim())).toMatchObject({ name: 'env://KEY' });
  });

  interface Box {
    kdf: { name: string; params: { N: number; r: number; p: number }; salt: string };
    cipher: { name: string; nonce: string };
    ciphertext: string;
  }
  const cases: [string, (box: Box) => unknown, RegExp][] = [
    ['a cost that asks for much memory', ({ kdf }) => (kdf.params.N = 2 ** 24), /no key file of cosign's format/],
    ['another block size', ({ kdf }) => (kdf.params.r = 1024), /no key file/],
    ['another derivation', ({ kdf }) => (kdf.name = 'argon2'), /no key file/],
    ['another cipher', ({ cipher }) => (cipher.name = 'aes'), /no key file/],
    ['a short nonce', ({ cipher }) => (cipher.nonce = 'AAAA'), /no key file/],
    ['a ciphertext that is too short', (box) => (box.ciphertext = 'AAAA'), /password is wrong, or the key file is damaged/],
    [
      'a flipped bit',
      (box) => (box.ciphertext = `${box.ciphertext.startsWith('A') ? 'B' : 'A'}${box.ciphertext.slice(1)}`),
      /password is wrong/,
    ],
  ];
  test.each(cases)('refused: %s', async (_, change, why) => {
    const text = await readFile(join(KEYS, 'cosign.key'), 'utf8');
    const body = text.split('\n').slice(1, -2).join('');
    const box = JSON.parse(Buffer.from(body, 'base64').toString()) as Box;
    change(box);
    const changed = Buffer.from(JSON.stringify(box)).toString('base64');
    const label = 'ENCRYPTED SIGSTORE PRIVATE KEY';
    await expect(signerOf(`-----BEGIN ${label}-----\n${changed}\n-----END ${label}-----\n`, 'golden-test-only')).rejects.toThrowError(why);
  });

  test('garbage in the block, and a sealed text that is no key', async () => {
    const label = 'ENCRYPTED SIGSTORE PRIVATE KEY';
    await expect(signerOf(`-----BEGIN ${label}-----\nAAAA\n-----END ${label}-----\n`, '')).rejects.toThrowError(/no key file/);
    await expect(signerOf(await sealKey(Buffer.from('text'), 'x'), 'x')).rejects.toThrowError(/holds no key/);
  });
});

describe('plain PEM keys', () => {
  const p256 = ec('P-256');
  const p384 = ec('P-384');
  const ed25519 = generateKeyPairSync('ed25519');
  const sec1 = p256.privateKey.export({ type: 'sec1', format: 'pem' }).toString();
  const parameters = '-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n';
  const cases: [string, string, { publicKey: KeyObject }][] = [
    ['PKCS#8, P-256', pkcs8(p256.privateKey), p256],
    ['PKCS#8, P-384', pkcs8(p384.privateKey), p384],
    ['PKCS#8, Ed25519', pkcs8(ed25519.privateKey), ed25519],
    ['PKCS#8, RSA', pkcs8(rsa.privateKey), rsa],
    ['PKCS#1', rsa.privateKey.export({ type: 'pkcs1', format: 'pem' }).toString(), rsa],
    ['SEC 1', sec1, p256],
    ['SEC 1 as openssl writes it', parameters + sec1, p256],
  ];
  test.each(cases)('%s', async (_, text, pair) => {
    const { signature } = await (await signerOf(text)).sign(DATA);
    expect(publicKeyOf(pair).verifies(DATA, signature)).toBe(true);
  });

  test('P-384 signs with SHA-256, with which cosign verifies', async () => {
    const { signature } = await (await signerOf(pkcs8(p384.privateKey))).sign(DATA);
    expect(verify('sha256', DATA, p384.publicKey, signature)).toBe(true);
  });

  test.each(['pkcs8', 'sec1'] as const)('%s with a password of its own', async (type) => {
    const text = p256.privateKey.export({ type, format: 'pem', cipher: 'aes-256-cbc', passphrase: 'secret' }).toString();
    const { signature } = await (await signerOf(text, 'secret')).sign(DATA);
    expect(publicKeyOf(p256).verifies(DATA, signature)).toBe(true);
    await expect(signerOf(text, 'other')).rejects.toThrowError(/password is wrong/);
    await expect(signerOf(text)).rejects.toThrowError(/no password was given/);
  });

  const publicPem = p256.publicKey.export({ type: 'spki', format: 'pem' }).toString();
  const weak = generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey;
  test.each<[string, string, RegExp]>([
    ['a public key', publicPem, /is a public key: signatures are made with the private one/],
    ['plain text', 'key', /not a PEM file/],
    ['a certificate', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n', /holds a CERTIFICATE/],
    ['two keys', sec1 + sec1, /more than one/],
    ['a block of garbage', '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n', /holds no key/],
    ['a short RSA key', pkcs8(weak), /1024 bits/],
    ['a curve that verifiers do not know', pkcs8(ec('secp256k1').privateKey), /secp256k1/],
    ['a key for something else', pkcs8(generateKeyPairSync('x25519').privateKey), /x25519/],
  ])('refused: %s', async (_, text, why) => {
    await expect(signerOf(text)).rejects.toThrowError(why);
    await expect(signerOf(text)).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    // nothing of a key gets into a message
    for (const line of text.split('\n').filter((one) => one.length > 20 && !one.startsWith('-----'))) {
      await expect(signerOf(text)).rejects.not.toThrowError(line);
    }
  });

  test('no file', async () => {
    await expect(openKeySigner('missing.key')).rejects.toMatchObject({ code: 'PATH_NOT_FOUND' });
  });
});
