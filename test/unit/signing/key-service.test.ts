import { createHash, generateKeyPairSync, type KeyObject, sign, verify } from 'node:crypto';
import { once } from 'node:events';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { json } from 'node:stream/consumers';
import { describe, expect, onTestFinished, test } from 'vitest';
import { openKeyService } from '../../../src/signing/key-service.ts';
import { openKeyVerifier } from '../../../src/signing/key-verifier.ts';
import { openKeySigner } from '../../../src/signing/private-key.ts';

const DATA = Buffer.from('what is signed');
const P256 = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const RSA = generateKeyPairSync('rsa', { modulusLength: 2048 });

interface FakeVault {
  readonly env: Readonly<Record<string, string>>;
  readonly requests: { readonly path: string; readonly token: unknown; readonly namespace: unknown; readonly body: unknown }[];
}

/** The transit engine as far as it is used: signs digests that were made before. */
async function startVault(
  pair: { publicKey: KeyObject; privateKey: KeyObject } = P256,
  answers: Readonly<Record<string, unknown>> = {},
): Promise<FakeVault> {
  const requests: FakeVault['requests'][number][] = [];
  const type = pair.privateKey.asymmetricKeyType === 'rsa' ? 'rsa-2048' : 'ecdsa-p256';
  const pem = pair.publicKey.export({ type: 'spki', format: 'pem' });
  const server = createServer((request, response) => {
    void json(request)
      .catch(() => undefined)
      .then((body) => {
        const path = request.url ?? '';
        requests.push({ path, token: request.headers['x-vault-token'], namespace: request.headers['x-vault-namespace'], body });
        const answer = answers[path.split('/')[3] ?? ''];
        if (answer !== undefined) answerJson(response, answer);
        else if (request.headers['x-vault-token'] !== 's.secret') answerJson(response, { errors: ['permission denied'] }, 403);
        else if (path.includes('/keys/'))
          answerJson(response, { data: { type, latest_version: 2, keys: { 1: { public_key: 'old' }, 2: { public_key: pem } } } });
        else answerJson(response, { data: { signature: `vault:v2:${signDigest(pair.privateKey, body as { input: string })}` } });
      });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(async () => {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  });
  return { env: { VAULT_ADDR: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, VAULT_TOKEN: 's.secret' }, requests };
}

function answerJson(response: ServerResponse, value: unknown, status = 200): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}

/** The server has only the digest; the test knows what it is of. */
function signDigest(key: KeyObject, { input }: { input: string }): string {
  const isOurs = createHash('sha256').update(DATA).digest('base64') === input;
  return sign('sha256', isOurs ? DATA : Buffer.from('something else'), key).toString('base64');
}

describe('Vault and OpenBao', () => {
  test.each([
    ['P-256', P256, { marshaling_algorithm: 'asn1' }],
    ['RSA', RSA, { signature_algorithm: 'pkcs1v15' }],
  ])('%s: the latest version signs, and its public key verifies', async (_, pair, how) => {
    const { env, requests } = await startVault(pair);
    const signer = await openKeySigner('hashivault://release', { env });
    const { signature, material } = await signer.sign(DATA);
    expect(verify('sha256', DATA, pair.publicKey, signature)).toBe(true);
    expect(await (await openKeyVerifier('hashivault://release', env)).verify({ data: DATA, signature, material })).toMatchObject({
      type: 'key',
      name: 'hashivault://release',
    });
    const input = createHash('sha256').update(DATA).digest('base64');
    expect(requests.find(({ path }) => path.includes('/sign/'))).toMatchObject({
      path: '/v1/transit/sign/release/sha2-256',
      token: 's.secret',
      body: { input, prehashed: true, ...how },
    });
  });

  test("OpenBao's variables, a namespace, another path of the engine", async () => {
    const { env, requests } = await startVault();
    const bao = {
      BAO_ADDR: env['VAULT_ADDR'],
      BAO_TOKEN: 's.secret',
      BAO_NAMESPACE: 'team',
      TRANSIT_SECRET_ENGINE_PATH: '/signing/',
      VAULT_ADDR: 'http://127.0.0.1:1',
    };
    await (await openKeySigner('openbao://release', { env: bao })).sign(DATA);
    expect(requests[0]).toMatchObject({ path: '/v1/signing/keys/release', namespace: 'team' });
  });

  test('the token that a login left', async () => {
    const { env, requests } = await startVault();
    const home = await mkdtemp(join(tmpdir(), 'vault-'));
    onTestFinished(async () => await rm(home, { recursive: true }));
    await writeFile(join(home, '.vault-token'), 's.secret\n');
    await openKeyVerifier('hashivault://release', { VAULT_ADDR: env['VAULT_ADDR'], HOME: home });
    expect(requests[0]?.token).toBe('s.secret');
    await expect(
      openKeyVerifier('hashivault://release', { VAULT_ADDR: env['VAULT_ADDR'], HOME: join(home, 'nobody') }),
    ).rejects.toMatchObject({ code: 'CONFIG_INVALID', message: expect.stringContaining('there is no token') as string });
  });

  test('a signature that is not by the public key is not handed on', async () => {
    const { env } = await startVault();
    const signer = await openKeySigner('hashivault://release', { env });
    await expect(signer.sign(Buffer.from('else'))).rejects.toMatchObject({
      code: 'SERVICE_FAILED',
      message: expect.stringContaining('not by its public key') as string,
    });
  });

  test.each<[string, Readonly<Record<string, string>>, Readonly<Record<string, unknown>>, string, string]>([
    ['no address', { VAULT_ADDR: '' }, {}, 'CONFIG_INVALID', '$VAULT_ADDR (or $BAO_ADDR) is not set'],
    ['an address that is none', { VAULT_ADDR: 'vault' }, {}, 'CONFIG_INVALID', 'is no URL'],
    ['a token that is not accepted', { VAULT_TOKEN: 's.wrong' }, {}, 'SERVICE_FAILED', '403: permission denied'],
    [
      'a key for encryption',
      {},
      { keys: { data: { type: 'aes256-gcm96', latest_version: 1, keys: { 1: 1_700_000_000 } } } },
      'CONFIG_INVALID',
      'is a key for encryption',
    ],
    ['something else', {}, { keys: { data: 'x' } }, 'SERVICE_FAILED', 'something else than a key'],
  ])('%s', async (_, changes, answers, code, message) => {
    const { env } = await startVault(P256, answers);
    const error = await openKeySigner('hashivault://release', { env: { ...env, ...changes } }).catch((caught: unknown) => caught as Error);
    expect(error).toMatchObject({ code, message: expect.stringContaining(message) as string });
    expect((error as Error).message).not.toMatch(/s\.(?:wrong|secret)/);
  });

  test('a name that would leave the engine', () => {
    expect(() => openKeyService('hashivault://../../sys/seal', { VAULT_ADDR: 'http://127.0.0.1:1', VAULT_TOKEN: 'x' })).toThrow(
      'does not name a key',
    );
  });
});

/** A plugin that signs with a key of its own; `body` replaces what it answers. */
async function plugin(body?: string): Promise<Readonly<Record<string, string>>> {
  const folder = await mkdtemp(join(tmpdir(), 'plugin-'));
  onTestFinished(async () => await rm(folder, { recursive: true }));
  const key = P256.privateKey.export({ type: 'pkcs8', format: 'pem' });
  const publicKey = Buffer.from(P256.publicKey.export({ type: 'spki', format: 'pem' })).toString('base64');
  const answer = `
      const [version, json] = process.argv.slice(2);
      const { initOptions, methodArgs } = JSON.parse(json);
      const input = require('node:fs').readFileSync(0);
      const digest = require('node:crypto').createHash('sha256').update(input).digest('base64');
      if (version !== 'v1' || initOptions.protocolVersion !== 'v1' || initOptions.keyResourceID !== 'test://prod/key')
        console.log(JSON.stringify({ errorMessage: 'wrong call' }));
      else if (methodArgs.methodName === 'publicKey') console.log(JSON.stringify({ publicKey: { publicKeyPEM: '${publicKey}' } }));
      else if (methodArgs.signMessage.signMessageOptions.messageOptions.digest !== digest) console.log(JSON.stringify({ errorMessage: 'wrong digest' }));
      else console.log(JSON.stringify({ signMessage: { signature: require('node:crypto').sign('sha256', input, ${JSON.stringify(key)}).toString('base64') } }));
    `;
  const file = join(folder, 'sigstore-kms-test');
  await writeFile(file, `#!${process.execPath}\n${body ?? answer}`);
  await chmod(file, 0o755);
  return { PATH: `${folder}:${process.env['PATH']}` };
}

describe('plugins', () => {
  test('signs, and its public key verifies', async () => {
    const env = await plugin();
    const { signature, material } = await (await openKeySigner('test://prod/key', { env })).sign(DATA);
    expect(await (await openKeyVerifier('test://prod/key', env)).verify({ data: DATA, signature, material })).toMatchObject({
      name: 'test://prod/key',
    });
  });

  test.each([
    ['its own error', "console.log(JSON.stringify({ errorMessage: 'no such key' }))", 'sigstore-kms-test: no such key'],
    ['no JSON', "console.log('hello')", 'not of its protocol'],
    ['nothing', '', 'not of its protocol'],
    ['no key', "console.log('{}')", 'answered without a public key'],
    ['more than anybody reads', "process.stdout.write('x'.repeat(5_000_000))", 'not of its protocol'],
  ])('%s', async (_, body, message) => {
    const env = await plugin(body);
    await expect(openKeySigner('test://prod/key', { env })).rejects.toMatchObject({
      code: 'SERVICE_FAILED',
      message: expect.stringContaining(message) as string,
    });
  });

  test('one that is not there', async () => {
    await expect(openKeySigner('none://x', { env: { PATH: '/nowhere' } })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('no sigstore-kms-none on PATH') as string,
    });
  });

  test('files and variables are no services', () => {
    for (const name of ['cosign.key', 'env://KEY', './a://b', 'C:\\key']) expect(openKeyService(name, {})).toBeUndefined();
  });
});
