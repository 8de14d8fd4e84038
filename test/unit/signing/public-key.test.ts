import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { ErrorCode } from '../../../src/errors.ts';
import { parsePublicKey, readPublicKey } from '../../../src/signing/public-key.ts';
import { makeSigner } from './sample-signatures.ts';

const GOLDEN = join(import.meta.dirname, '../../../fixtures/golden');
const DATA = Buffer.from('the manifest');

const ec = (namedCurve: string) => generateKeyPairSync('ec', { namedCurve });
const pem = (pair: { publicKey: KeyObject }) => pair.publicKey.export({ type: 'spki', format: 'pem' }).toString();
const rsa = (modulusLength: number) => generateKeyPairSync('rsa', { modulusLength });

async function scratch(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'ocikit-key-'));
  onTestFinished(async () => {
    await rm(directory, { recursive: true });
  });
  return directory;
}

describe('a public key accepts signatures of its own', () => {
  const kinds: [string, { privateKey: KeyObject; publicKey: KeyObject }, string | null][] = [
    ['P-256', ec('P-256'), 'sha256'],
    ['P-384 with the hash of its size', ec('P-384'), 'sha384'],
    ['P-384 as cosign verifies it', ec('P-384'), 'sha256'],
    ['P-521 with the hash of its size', ec('P-521'), 'sha512'],
    ['P-521 as cosign verifies it', ec('P-521'), 'sha256'],
    ['RSA 2048', rsa(2048), 'sha256'],
    ['Ed25519', generateKeyPairSync('ed25519'), null],
  ];
  test.each(kinds)('%s', (_, pair, hash) => {
    const signer = makeSigner(pair);
    const signature = Buffer.from(signer.sign(DATA, hash), 'base64');
    expect(signer.key.verifies(DATA, signature)).toBe(true);
    expect(signer.key.verifies(Buffer.from('another manifest'), signature)).toBe(false);
    expect(
      makeSigner(pair.publicKey.asymmetricKeyType === 'ec' ? ec('P-256') : generateKeyPairSync('ed25519')).key.verifies(DATA, signature),
    ).toBe(false);
    expect(signer.key.verifies(DATA, signature.subarray(1))).toBe(false);
    expect(signer.key.verifies(DATA, Buffer.alloc(0))).toBe(false);
  });

  test('SHA-1 is never accepted', () => {
    for (const pair of [ec('P-256'), rsa(2048)]) {
      const signer = makeSigner(pair);
      expect(signer.key.verifies(DATA, Buffer.from(signer.sign(DATA, 'sha1'), 'base64'))).toBe(false);
    }
  });

  test('PKCS#1 PEM of an RSA key', () => {
    const { publicKey, privateKey } = rsa(2048);
    const key = parsePublicKey(publicKey.export({ type: 'pkcs1', format: 'pem' }).toString(), 'rsa.pub');
    expect(key.verifies(DATA, Buffer.from(makeSigner({ publicKey, privateKey }).sign(DATA), 'base64'))).toBe(true);
  });
});

describe('what is no usable public key', () => {
  const good = pem(ec('P-256'));
  const cases: [string, string, RegExp][] = [
    ['plain text', 'not a key', /not a PEM file/],
    ['nothing', '', /not a PEM file/],
    ['a PEM block of garbage', '-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n', /holds no key/],
    ['a certificate', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n', /holds a CERTIFICATE/],
    ['two keys', good + good, /more than one/],
    ['a curve that signers do not use', pem(ec('secp256k1')), /secp256k1/],
    ['a short RSA key', pem(rsa(1024)), /1024 bits/],
    ['an RSA-PSS key', pem(generateKeyPairSync('rsa-pss', { modulusLength: 2048 })), /rsa-pss/],
    ['an X25519 key', pem(generateKeyPairSync('x25519')), /x25519/],
  ];
  test.each(cases)('%s', (_, text, why) => {
    expect(() => parsePublicKey(text, 'some.pub')).toThrowError(why);
    expect(() => parsePublicKey(text, 'some.pub')).toThrowError(expect.objectContaining({ code: 'CONFIG_INVALID' }) as Error);
  });

  test.each([
    ['PKCS#8', ec('P-256').privateKey.export({ type: 'pkcs8', format: 'pem' })],
    ['SEC 1', ec('P-256').privateKey.export({ type: 'sec1', format: 'pem' })],
    ['encrypted by cosign', '-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED SIGSTORE PRIVATE KEY-----\n'],
    ['behind a public key', good + ec('P-256').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()],
  ])('a private key: %s', (_, text) => {
    expect(() => parsePublicKey(text.toString(), 'some.key')).toThrowError(/some\.key is a private key/);
  });
});

describe('reading the file', () => {
  test('keys of cosign', async () => {
    expect((await readPublicKey(join(GOLDEN, 'cosign-keys/cosign.pub'))).name).toMatch(/cosign\.pub$/);
    await expect(readPublicKey(join(GOLDEN, 'cosign-keys/cosign.key'))).rejects.toThrowError(/is a private key/);
  });

  test('a key in a variable', async () => {
    const { pem: text } = makeSigner();
    expect((await readPublicKey('env://KEY', { KEY: text })).name).toBe('env://KEY');
    await expect(readPublicKey('env://KEY', { KEY: 'text' })).rejects.toThrowError(/env:\/\/KEY is no usable public key/);
  });

  test('the id of a key is what cosign writes as hint', async () => {
    const bundle = JSON.parse(await readFile(join(GOLDEN, 'cosign-file/kit-modelkit-tar.sigstore.json'), 'utf8')) as {
      verificationMaterial: { publicKey: { hint: string } };
    };
    expect((await readPublicKey(join(GOLDEN, 'cosign-keys/cosign.pub'))).keyId).toBe(bundle.verificationMaterial.publicKey.hint);
  });

  test.each<[string, (directory: string) => string, ErrorCode]>([
    ['a missing file', (directory) => join(directory, 'missing.pub'), 'PATH_NOT_FOUND'],
    ['a file below a file', (directory) => join(directory, 'big.pub', 'x'), 'PATH_NOT_FOUND'],
    ['a directory', (directory) => directory, 'PATH_UNREADABLE'],
    ['a file that is too large', (directory) => join(directory, 'big.pub'), 'CONFIG_INVALID'],
    ['a variable that is not set', () => 'env://NO_SUCH_KEY', 'CONFIG_INVALID'],
  ])('%s', async (_, pathIn, code) => {
    const directory = await scratch();
    await writeFile(join(directory, 'big.pub'), 'x'.repeat(70_000));
    const path = pathIn(directory);
    await expect(readPublicKey(path)).rejects.toMatchObject({ code, message: expect.stringContaining(path) as string });
  });
});
