import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Sandbox, sandbox } from '../support/kit.ts';
import { startRegistry, type TestRegistry } from '../support/registry.ts';
import { fakeToken, type SigstoreMock, startSigstoreMock } from '../support/sigstore-mock.ts';

const WHO = ['--certificate-identity', 'dev@example.com', '--certificate-oidc-issuer', 'https://issuer.example.com'];

let directory: string;
let sigstore: SigstoreMock;
let registry: TestRegistry;
let count = 0;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'kit-keyless-'));
  [sigstore, registry] = await Promise.all([startSigstoreMock(directory), startRegistry()]);
});
afterAll(async () => {
  await Promise.all([sigstore.close(), registry.close()]);
  await rm(directory, { recursive: true, force: true });
});

interface Setup {
  readonly box: Sandbox;
  readonly name: string;
  readonly services: readonly string[];
  readonly trust: readonly string[];
  readonly env: { readonly SIGSTORE_ID_TOKEN: string };
}

async function setUp(push = true): Promise<Setup> {
  const box = await sandbox();
  await box.write({ 'm/Kitfile': 'manifestVersion: 1.0.0\npackage: {name: m}\nmodel: {path: w.bin}\n', 'm/w.bin': 'data' });
  count += 1;
  const name = `${registry.host}/team/m${count}:v1`;
  await box.ok(`pack m -t ${name}${push ? ' --push' : ''}`);
  const services = ['--fulcio-url', sigstore.url, '--rekor-url', sigstore.url];
  return { box, name, services, trust: [...WHO, '--trusted-root', sigstore.trustedRoot], env: { SIGSTORE_ID_TOKEN: fakeToken() } };
}

describe('an identity instead of a key', () => {
  test('both forms, each with its proof', async () => {
    const { box, name, services, trust, env } = await setUp();
    expect(await box.kit(['sign', name, ...services, '-a', 'stage=prod'], { env })).toMatchObject({ status: 0, stderr: '' });
    const { signatures, transparencyLog } = JSON.parse(
      await box.ok(['verify', name, ...trust, '-a', 'stage=prod', '--format', 'json']),
    ) as {
      signatures: { kind: string; signer: object }[];
      transparencyLog: string;
    };
    const signer = { type: 'identity', identity: 'dev@example.com', issuer: 'https://issuer.example.com', times: [{ by: 'log' }] };
    expect(signatures).toMatchObject([
      { kind: 'bundle', signer },
      { kind: 'legacy', signer },
    ]);
    expect(transparencyLog).toBe('checked');
    const text = await box.ok(['verify', name, ...trust]);
    expect(text).toMatch(/, dev@example\.com \(https:\/\/issuer\.example\.com\), \d{4}-\S+Z, http:\/\/localhost:55555 entry \d+$/m);
    // whoever asks for a key gets no certificate
    await box.ok('generate-key-pair', { env: { COSIGN_PASSWORD: '' } });
    expect(await box.kit(['verify', name, '--key', 'cosign.pub'])).toMatchObject({
      status: 6,
      stderr: expect.stringContaining('a key is required') as string,
    });
  });

  test('attestations, in both forms', async () => {
    const { box, name, services, trust, env } = await setUp();
    await box.write({ 'p.json': '{"a":1}' });
    await box.ok(['attest', name, ...services, '--type', 'https://example.com/t', '--predicate', 'p.json'], { env });
    const { attestations } = JSON.parse(
      await box.ok(['verify-attestation', name, ...trust, '--type', 'https://example.com/t', '--format', 'json']),
    ) as {
      attestations: { kind: string; accepted: boolean }[];
    };
    expect(attestations).toMatchObject([
      { kind: 'bundle', accepted: true },
      { kind: 'legacy', accepted: true },
    ]);
  });

  test('in one step, and refused before a byte is written', async () => {
    const { box, name, services, trust, env } = await setUp(false);
    await box.ok(['push', name, '--sign', ...services], { env });
    await box.ok(['remove', name]);
    const wrong = [
      '--trusted-root',
      sigstore.trustedRoot,
      '--certificate-identity',
      'ops@example.com',
      '--certificate-oidc-issuer',
      'https://issuer.example.com',
    ];
    expect(await box.kit(['pull', name, '--verify', ...wrong])).toMatchObject({
      status: 6,
      stderr: expect.stringContaining('not by ops@example.com') as string,
    });
    expect((await box.ok('list')).trim().split('\n')).toHaveLength(1);
    await box.ok(['pull', name, '--verify', ...trust]);
    await box.ok(['unpack', name, '-d', 'out', '--verify', ...trust]);
  });

  test('the trusted root by TUF, then offline', async () => {
    const { box, name, services, env } = await setUp();
    await box.ok(['sign', name, ...services], { env });
    const tuf = ['--tuf-mirror', sigstore.url];
    expect(await box.kit(['verify', name, ...WHO, ...tuf, '--offline'])).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('was fetched before') as string,
    });
    await box.ok(['verify', name, ...WHO, ...tuf, '--tuf-root', sigstore.tufRoot]);
    await box.ok(['verify', name, ...WHO, ...tuf, '--offline']);
    // what is kept there is no part of the store
    await box.ok('store check');
  });

  test('a bundle in a file, offline', async () => {
    const { box, name, services, trust, env } = await setUp();
    await box.ok(['sign', name, ...services, '--no-upload', '--bundle', 'm.sigstore.json'], { env });
    await box.ok(['verify', name, ...trust, '--bundle', 'm.sigstore.json']);
    expect(await box.kit(['verify', '--remote', name, ...trust])).toMatchObject({
      status: 6,
      stderr: expect.stringContaining('no signatures found') as string,
    });
  });

  test('services that do not answer', async () => {
    const { box, name, env } = await setUp();
    const run = await box.kit(['sign', name, '--fulcio-url', `${sigstore.url}/none`, '--rekor-url', sigstore.url, '-vv'], { env });
    expect(run).toMatchObject({
      status: 5,
      stderr: expect.stringMatching(/certificate authority at .*\/none\/api\/v2\/signingCert answered 404/) as string,
    });
    expect(run.stdout + run.stderr).not.toContain(env.SIGSTORE_ID_TOKEN);
    const log = await box.kit(['sign', name, '--fulcio-url', sigstore.url, '--rekor-url', `${sigstore.url}/none`], { env });
    expect(log).toMatchObject({ status: 5, stderr: expect.stringContaining('the transparency log at') as string });
    // nothing was attached
    expect(await box.ok(['download', 'signature', name]).catch((error: unknown) => String(error))).not.toContain('"mediaType"');
  });
});

describe('wrong use', () => {
  test.each<[string, string[], number, string]>([
    ['an identity without its issuer', ['verify', 'm:v1', '--certificate-identity', 'x'], 2, 'needs --certificate-oidc-issuer'],
    ['an issuer alone', ['verify', 'm:v1', '--certificate-oidc-issuer', 'x'], 2, 'needs --certificate-identity'],
    ['a key and an identity', ['verify', 'm:v1', '--key', 'k', ...WHO], 2, 'give --key or an identity, not both'],
    ['an identity twice', ['verify', 'm:v1', ...WHO, '--certificate-identity-regexp', 'x'], 2, '--certificate-identity is given twice'],
    [
      'a pattern that is none',
      ['verify', 'm:v1', '--certificate-identity-regexp', '(', '--certificate-oidc-issuer', 'x'],
      2,
      'is no regular expression',
    ],
    ['a trusted root without --verify', ['pull', 'localhost:5999/m:v1', '--trusted-root', 'x'], 2, '--trusted-root goes with --verify'],
    ['a log without --sign', ['push', 'localhost:5999/m:v1', '--rekor-url', 'x'], 2, '--rekor-url goes with --sign'],
    ['a key and a token', ['sign', 'm:v1', '--key', 'k', '--identity-token', 'x'], 2, 'with --key or as an identity'],
    ['a version of no log', ['sign', 'm:v1', '--rekor-version', '2'], 2, '--rekor-version goes with --rekor-url'],
    ['a URL that is none', ['sign', 'm:v1', '--fulcio-url', 'fulcio'], 2, 'is not the URL of a service'],
  ])('%s', async (_, args, status, message) => {
    const box = await sandbox();
    const run = await box.kit(args);
    expect(run).toMatchObject({ status, stdout: '' });
    expect(run.stderr).toContain(message);
  });

  test('a token on the command line is refused, and not repeated', async () => {
    const box = await sandbox();
    const token = fakeToken();
    const run = await box.kit(['sign', 'm:v1', '--identity-token', token]);
    expect(run).toMatchObject({ status: 2, stderr: expect.stringContaining('--identity-token takes the path of a file') as string });
    expect(run.stderr).not.toContain(token.slice(0, 30));
  });
});

test('keys of services', async () => {
  const { box, name } = await setUp();
  await box.ok('generate-key-pair', { env: { COSIGN_PASSWORD: '' } });
  const { generateKeyPairSync } = await import('node:crypto');
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const pem = publicKey.export({ type: 'spki', format: 'pem' });
  await box.write({
    'test.pub': pem,
    'bin/sigstore-kms-test': `#!${process.execPath}
      const input = require('node:fs').readFileSync(0);
      const { methodArgs } = JSON.parse(process.argv[3]);
      const signature = require('node:crypto').sign('sha256', input, ${JSON.stringify(privateKey.export({ type: 'pkcs8', format: 'pem' }))}).toString('base64');
      const publicKeyPEM = ${JSON.stringify(Buffer.from(pem).toString('base64'))};
      console.log(JSON.stringify(methodArgs.methodName === 'publicKey' ? { publicKey: { publicKeyPEM } } : { signMessage: { signature } }));
    `,
  });
  const env = { PATH: `${box.path('bin')}:${process.env['PATH']}` };
  await box.ok(['sign', name, '--key', 'test://prod/release'], { env });
  await box.ok(['verify', name, '--key', 'test.pub']);
  await box.ok(['verify', name, '--key', 'test://prod/release'], { env });
  expect(await box.kit(['verify', name, '--key', 'cosign.pub'])).toMatchObject({ status: 6 });
});
