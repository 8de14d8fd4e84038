import { spawnSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { certified } from '../../../src/signing/certificate-signer.ts';
import { openCertificateVerifier } from '../../../src/signing/certificate-verifier.ts';
import { openModel, sealModel } from '../../../src/signing/oms-bundle.ts';
import { withAlwaysIgnored } from '../../../src/signing/oms-statement.ts';
import { openKeySigner } from '../../../src/signing/private-key.ts';
import { openVerifier } from '../../../src/signing/open-verifier.ts';
import { hasOpenssl } from '../../support/certificates.ts';

const EXTENSIONS = `[req]
distinguished_name=dn
[dn]
[ca]
basicConstraints=critical,CA:TRUE
keyUsage=critical,keyCertSign
[narrow]
basicConstraints=critical,CA:TRUE,pathlen:0
keyUsage=critical,keyCertSign
[constrained]
basicConstraints=critical,CA:TRUE
nameConstraints=critical,permitted;DNS:example.com
[leaf]
basicConstraints=critical,CA:FALSE
keyUsage=critical,digitalSignature
[code]
extendedKeyUsage=codeSigning
[encipher]
keyUsage=critical,keyEncipherment
[odd]
keyUsage=critical,digitalSignature
1.2.3.4=critical,ASN1:UTF8String:odd
`;

let folder = '';
const file = (name: string): string => join(folder, name);
const key = (name: string): string => file(`${name}.key`);
const certificate = (name: string): string => file(`${name}.crt`);

function openssl(...args: string[]): void {
  const { status, stderr } = spawnSync('openssl', args, { encoding: 'utf8', cwd: folder });
  if (status !== 0) throw new Error(`openssl ${args.join(' ')}: ${stderr}`);
}

/** A certificate `name`, by `issuer` or by itself. */
function issue(name: string, issuer: string | undefined, extensions: string, curve = 'P-256'): void {
  const made = ['-newkey', 'ec', '-pkeyopt', `ec_paramgen_curve:${curve}`, '-nodes', '-keyout', key(name), '-subj', `/O=Team/CN=${name}`];
  const by = issuer === undefined ? [] : ['-CA', certificate(issuer), '-CAkey', key(issuer)];
  openssl('req', '-x509', ...made, ...by, '-days', '30', '-config', file('x.cnf'), '-extensions', extensions, '-out', certificate(name));
}

beforeAll(async () => {
  if (!hasOpenssl) return;
  folder = await mkdtemp(join(tmpdir(), 'oms-certificates-'));
  await writeFile(file('x.cnf'), EXTENSIONS);
  for (const [name, issuer, extensions] of CERTIFICATES) issue(name, issuer, extensions);
  issue('p384', 'root', 'leaf', 'P-384');
}, 60_000);
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

const CERTIFICATES = [
  ['root', undefined, 'ca'],
  ['other', undefined, 'ca'],
  ['inter', 'root', 'ca'],
  ['narrow', 'root', 'narrow'],
  ['below', 'narrow', 'ca'],
  ['constrained', 'root', 'constrained'],
  ['signer', 'root', 'leaf'],
  ['deep', 'inter', 'leaf'],
  ['tooDeep', 'below', 'leaf'],
  ['outside', 'constrained', 'leaf'],
  ['byLeaf', 'signer', 'leaf'],
  ['code', 'root', 'code'],
  ['encipher', 'root', 'encipher'],
  ['odd', 'root', 'odd'],
  ['alone', undefined, 'leaf'],
] as const;

const FILES = new Map([['w.bin', '0'.repeat(64)]]);
const IGNORED = withAlwaysIgnored([]);

/** Certificates of several names in one file. */
async function chain(...names: string[]): Promise<string> {
  const path = file(`chain-${names.join('-')}.crt`);
  await writeFile(path, (await Promise.all(names.map(async (name) => await readFile(certificate(name), 'utf8')))).join(''));
  return path;
}

async function seal(name: string, ...above: string[]): Promise<Buffer> {
  const files = { certificate: certificate(name), ...(above.length > 0 && { chain: await chain(...above) }) };
  const signer = await certified(await openKeySigner(key(name), { ownHash: true }), files);
  return await sealModel({ name: 'm', files: FILES, ignored: IGNORED }, signer);
}

interface Bundle {
  verificationMaterial: { x509CertificateChain: { certificates: { rawBytes: string }[] }; publicKey?: unknown };
  dsseEnvelope: { payload: string };
}

function altered(bundle: Buffer, alter: (bundle: Bundle) => void): Buffer {
  const copy = JSON.parse(bundle.toString()) as Bundle;
  alter(copy);
  return Buffer.from(JSON.stringify(copy));
}

describe.skipIf(!hasOpenssl)('signed with a certificate', { timeout: 30_000 }, () => {
  test.each([
    ['by the authority itself', ['signer'], ['root']],
    ['through an authority that the signature brings', ['deep', 'inter'], ['root']],
    ['through an authority that is given', ['deep'], ['inter', 'root']],
    ['whose chain repeats the certificate and the root', ['deep', 'deep', 'inter', 'root'], ['other', 'root']],
    ['for code signing', ['code'], ['root']],
    ['on another curve', ['p384'], ['root']],
    ['that is trusted itself', ['alone'], ['alone']],
  ])('accepted: %s', async (_, [name = '', ...above], trusted) => {
    const bundle = await seal(name, ...above);
    const { signer, files } = await openModel(bundle, await openCertificateVerifier(await chain(...trusted)));
    expect(signer).toMatchObject({ type: 'identity', identity: `O=Team, CN=${name}`, claims: { validTo: expect.any(String) as string } });
    expect(files).toEqual(FILES);
  });

  test.each([
    ['another authority', ['signer'], ['other'], 'is not by an authority of'],
    ['an authority in between is missing', ['deep'], ['root'], 'is not by an authority of'],
    ['the authority is brought along, not trusted', ['deep', 'inter', 'root'], ['other'], 'is not by an authority of'],
    ['only an authority in between is trusted', ['deep'], ['inter'], 'is not by an authority of'],
    ['the signer alone is trusted', ['signer'], ['signer'], 'is not by an authority of'],
    ['issued by somebody who is no authority', ['byLeaf', 'signer'], ['root'], 'is not by an authority of'],
    ['an authority below one that allows none', ['tooDeep', 'below', 'narrow'], ['root'], 'may not stand above so many others'],
    ['an authority with constraints that are not understood', ['outside', 'constrained'], ['root'], 'critical extension 2.5.29.30'],
    ['an extension that is not understood', ['odd'], ['root'], 'critical extension 1.2.3.4'],
    ['not for signing', ['encipher'], ['root'], 'may not be used for signing'],
  ])('refused: %s', async (_, [name = '', ...above], trusted, why) => {
    const bundle = await seal(name, ...above);
    await expect(openModel(bundle, await openCertificateVerifier(await chain(...trusted)))).rejects.toMatchObject({
      code: 'SIGNATURE_INVALID',
      message: expect.stringContaining(why) as string,
    });
  });

  test.each<[string, (bundle: Bundle) => void, string]>([
    [
      'changed after signing',
      (bundle) =>
        (bundle.dsseEnvelope.payload = Buffer.from(`${Buffer.from(bundle.dsseEnvelope.payload, 'base64').toString()} `).toString('base64')),
      'it was changed after signing',
    ],
    ['a key too', (bundle) => (bundle.verificationMaterial.publicKey = { hint: '' }), 'both a key and a certificate'],
    [
      'no certificate',
      (bundle) => (bundle.verificationMaterial.x509CertificateChain.certificates = [{ rawBytes: 'AAAA' }]),
      'a certificate that it carries is malformed',
    ],
    [
      'more certificates than anybody needs',
      ({ verificationMaterial: { x509CertificateChain: all } }) =>
        (all.certificates = Array.from({ length: 17 }, () => ({ rawBytes: 'AAAA' }))),
      'the bundle',
    ],
  ])('refused: %s', async (_, alter, why) => {
    const bundle = altered(await seal('signer'), alter);
    await expect(openModel(bundle, await openCertificateVerifier(certificate('root')))).rejects.toThrow(why);
  });

  test("another certificate in the signer's place", async () => {
    const { raw } = new X509Certificate(await readFile(certificate('code')));
    const others = altered(await seal('signer'), ({ verificationMaterial: { x509CertificateChain: all } }) => {
      all.certificates = [{ rawBytes: raw.toString('base64') }];
    });
    await expect(openModel(others, await openCertificateVerifier(certificate('root')))).rejects.toThrow(
      'not by the key of its certificate',
    );
  });

  test('a key where a certificate is required, and the reverse', async () => {
    const byKey = await sealModel({ name: 'm', files: FILES, ignored: IGNORED }, await openKeySigner(key('signer')));
    await expect(openModel(byKey, await openCertificateVerifier(certificate('root')))).rejects.toThrow('a certificate is required');
    openssl('pkey', '-in', key('signer'), '-pubout', '-out', file('signer.pub'));
    const verifier = await openVerifier({ key: file('signer.pub'), trust: { cache: folder } });
    await expect(openModel(await seal('signer'), verifier)).rejects.toThrow('a key is required');
  });

  test('the certificate of another key signs nothing', async () => {
    const signer = await certified(await openKeySigner(key('deep')), { certificate: certificate('signer') });
    await expect(signer.sign(Buffer.from(''))).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  });

  test.each([
    ['nothing', '', 'it holds no PEM block'],
    ['a damaged block', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n', 'its PEM block 1 is no certificate'],
    ['too much', 'x'.repeat(1024 * 1024 + 1), 'it has more than'],
  ])('a file with %s', async (_, text, why) => {
    await writeFile(file('bad.crt'), text);
    await expect(openCertificateVerifier(file('bad.crt'))).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining(why) as string,
    });
  });
});
