import { spawnSync } from 'node:child_process';
import { appendFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { GOLDEN, type Sandbox, sandbox } from '../support/kit.ts';

/** PyPI's model-signing (with pyOpenSSL), found on PATH. */
const hasModelSigning = spawnSync('model_signing', ['--version']).status === 0;

function modelSigning(box: Sandbox, ...args: string[]): { readonly status: number | null; readonly output: string } {
  const { status, stdout, stderr } = spawnSync('model_signing', args, { cwd: box.root, encoding: 'utf8' });
  return { status, output: stdout + stderr };
}

const OURS = ['--private_key', join(GOLDEN, 'oms/oms-test.key.pem')];
const KEY = ['--key', join(GOLDEN, 'oms/oms-test.key.pem')];
const PUB = ['--key', join(GOLDEN, 'oms/oms-test.pub.pem')];
const THEIRS = ['--public_key', join(GOLDEN, 'oms/oms-test.pub.pem')];

// names whose order differs between paths, code points and UTF-16
const FILES = {
  'm/Kitfile': 'manifestVersion: 1.0.0\npackage: {name: m}\nmodel: {path: w.bin}\ndatasets: [{path: data}]\n',
  'm/w.bin': 'weights',
  'm/data/a/b': '1',
  'm/data/a-b': '2',
  'm/data/\u{1F600}': '3',
  'm/data/\uFFFC': '',
};

const CERTIFICATES = `[req]
distinguished_name=dn
[dn]
[ca]
basicConstraints=critical,CA:TRUE
keyUsage=critical,keyCertSign
[leaf]
keyUsage=critical,digitalSignature
`;

describe.skipIf(!hasModelSigning)('model_signing', () => {
  test.each([
    ['tar layers', []],
    ['raw layers', ['--use-model-pack']],
  ])('verifies what we signed as an artifact: %s', { timeout: 60_000 }, async (_, options) => {
    const box = await sandbox();
    await box.write(FILES);
    await box.ok(['pack', 'm', '-t', 'oci:lay:v1', ...options]);
    await box.ok(['sign', '--oms', 'oci:lay:v1', ...KEY]);
    await box.ok(['unpack', 'oci:lay:v1', '--oms', '-d', 'out']);
    const verify = (): ReturnType<typeof modelSigning> =>
      modelSigning(box, 'verify', 'key', 'out', '--signature', 'out/model.sig', ...THEIRS);
    expect(verify()).toMatchObject({ status: 0, output: expect.stringContaining('Verification succeeded') as string });
    await appendFile(box.path('out/data/a-b'), 'x');
    expect(verify()).toMatchObject({ status: 1, output: expect.stringContaining("Hash mismatch for 'data/a-b'") as string });
  });

  test.each([
    ['P-256', 'prime256v1'],
    ['P-384', 'secp384r1'],
    ['P-521', 'secp521r1'],
  ])('either verifies a directory that the other signed with %s', { timeout: 60_000 }, async (_, curve) => {
    const box = await sandbox();
    await box.write(FILES);
    const openssl = (...args: string[]) => expect(spawnSync('openssl', args, { cwd: box.root }).status).toBe(0);
    openssl('ecparam', '-name', curve, '-genkey', '-noout', '-out', 'k.pem');
    openssl('ec', '-in', 'k.pem', '-pubout', '-out', 'k.pub');

    await box.ok('sign --oms m --key k.pem');
    expect(modelSigning(box, 'verify', 'key', 'm', '--signature', 'm/model.sig', '--public_key', 'k.pub')).toMatchObject({ status: 0 });

    const signed = modelSigning(
      box,
      'sign',
      'key',
      'm',
      '--private_key',
      'k.pem',
      '--signature',
      'm/model.sig',
      '--ignore-paths',
      'm/w.bin',
    );
    expect(signed).toMatchObject({ status: 0 });
    expect(await box.ok('verify --oms m --key k.pub')).toMatch(/^verified 5 files/);
    // what it was told to ignore may change, all else may not
    await appendFile(box.path('m/w.bin'), 'x');
    await box.ok('verify --oms m --key k.pub');
    await appendFile(box.path('m/Kitfile'), '# x\n');
    expect(await box.kit('verify --oms m --key k.pub')).toMatchObject({
      status: 6,
      stderr: expect.stringContaining('Kitfile was changed') as string,
    });
  });

  test('either verifies what the other signed with a certificate', { timeout: 60_000 }, async () => {
    const box = await sandbox();
    await box.write(FILES);
    await box.write({ 'x.cnf': CERTIFICATES });
    const openssl = (...args: string[]) => expect(spawnSync('openssl', args, { cwd: box.root }).status).toBe(0);
    const issue = (name: string, extensions: string, ...issuer: string[]): void => {
      const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', `${name}.key`];
      const by = issuer.flatMap((one) => ['-CA', `${one}.crt`, '-CAkey', `${one}.key`]);
      openssl('req', '-x509', ...key, ...by, '-subj', `/CN=${name}`, '-config', 'x.cnf', '-extensions', extensions, '-out', `${name}.crt`);
    };
    issue('root', 'ca');
    issue('other', 'ca');
    issue('inter', 'ca', 'root');
    issue('signer', 'leaf', 'inter');
    const verify = (root: string): ReturnType<typeof modelSigning> =>
      modelSigning(box, 'verify', 'certificate', 'm', '--signature', 'm/model.sig', '--certificate_chain', root);

    await box.ok('sign --oms m --key signer.key --certificate signer.crt --certificate-chain inter.crt');
    expect(verify('root.crt')).toMatchObject({ status: 0, output: expect.stringContaining('Verification succeeded') as string });
    expect(verify('other.crt')).toMatchObject({ status: 1 });
    await box.ok('verify --oms m --certificate-chain root.crt');

    const theirs = ['--private_key', 'signer.key', '--signing_certificate', 'signer.crt', '--certificate_chain', 'inter.crt'];
    expect(modelSigning(box, 'sign', 'certificate', 'm', ...theirs, '--signature', 'm/model.sig')).toMatchObject({ status: 0 });
    expect(await box.ok('verify --oms m --certificate-chain root.crt')).toMatch(
      /^verified 6 files of m: .*, identity CN=signer \(CN=inter\), /,
    );
    expect(await box.kit('verify --oms m --certificate-chain other.crt')).toMatchObject({
      status: 6,
      stderr: expect.stringContaining('is not by an authority of other.crt') as string,
    });
    await appendFile(box.path('m/Kitfile'), '# x\n');
    expect(await box.kit('verify --oms m --certificate-chain root.crt')).toMatchObject({
      status: 6,
      stderr: expect.stringContaining('Kitfile was changed') as string,
    });
  });

  test('a signature that lies outside, and one file', { timeout: 60_000 }, async () => {
    const box = await sandbox();
    await box.write(FILES);
    expect(modelSigning(box, 'sign', 'key', 'm', ...OURS, '--signature', 'away.sig')).toMatchObject({ status: 0 });
    expect(await box.ok(['verify', '--oms', 'm', ...PUB, '--bundle', 'away.sig'])).toMatch(/^verified 6 files/);
  });
});
