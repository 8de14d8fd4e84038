import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { ambientToken } from '../../../src/signing/ambient-identity.ts';
import { browserToken } from '../../../src/signing/browser-flow.ts';
import { deviceToken } from '../../../src/signing/device-flow.ts';
import { parseIdentityToken } from '../../../src/signing/identity-token.ts';
import { openSigner } from '../../../src/signing/open-signer.ts';
import { readSigningConfig } from '../../../src/signing/signing-services.ts';
import { type OpenIdServer, startOpenIdServer } from '../../support/open-id-server.ts';
import { fakeToken } from '../../support/sigstore-mock.ts';

async function scratch(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'identity-'));
  onTestFinished(async () => await rm(folder, { recursive: true }));
  return folder;
}

async function provider(): Promise<OpenIdServer> {
  const server = await startOpenIdServer();
  onTestFinished(async () => await server.close());
  return server;
}

function service(url: string, majorApiVersion: number, start: string, more: object = {}): object {
  return { url, majorApiVersion, validFor: { start }, operator: 'one', ...more };
}

function config(more: object): string {
  return JSON.stringify({ mediaType: 'application/vnd.dev.sigstore.signingconfig.v0.2+json', ...more });
}

async function read(text: string): ReturnType<typeof readSigningConfig> {
  const file = join(await scratch(), 'config.json');
  await writeFile(file, text);
  return await readSigningConfig(file, new Date('2026-06-01T00:00:00Z'));
}

/** A browser whose user declines. */
function refuse(url: string): void {
  const { searchParams: query } = new URL(url);
  void fetch(`${query.get('redirect_uri')}?error=access_denied&error_description=not+today&state=${query.get('state')}`);
}

describe('of a CI job', () => {
  test('GitHub Actions: the audience is asked for, with the token of the job', async () => {
    const seen: unknown[] = [];
    const server = createServer((request, response) => {
      seen.push(request.url, request.headers.authorization);
      response.end(JSON.stringify({ value: 'the.jwt.here' }));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    onTestFinished(() => void server.close());
    const env = {
      ACTIONS_ID_TOKEN_REQUEST_URL: `http://127.0.0.1:${(server.address() as AddressInfo).port}/token?v=1`,
      ACTIONS_ID_TOKEN_REQUEST_TOKEN: 'job',
    };
    expect(await ambientToken(env)).toEqual({ token: 'the.jwt.here', source: 'GitHub Actions' });
    expect(seen).toEqual(['/token?v=1&audience=sigstore', 'Bearer job']);
  });

  test('GitHub Actions without the permission says so', async () => {
    await expect(ambientToken({ GITHUB_ACTIONS: 'true' })).rejects.toMatchObject({
      code: 'IDENTITY_FAILED',
      hint: expect.stringContaining('id-token: write') as string,
    });
  });

  test('Buildkite asks its agent', async () => {
    const folder = await scratch();
    await writeFile(join(folder, 'buildkite-agent'), '#!/bin/sh\necho "$@"\n', { mode: 0o755 });
    const env = { BUILDKITE: 'true', PATH: `${folder}:${process.env['PATH']}` };
    expect((await ambientToken(env))?.token.trim()).toBe('oidc request-token --audience sigstore');
    await writeFile(join(folder, 'buildkite-agent'), '#!/bin/sh\necho secret; exit 3\n', { mode: 0o755 });
    const error = await ambientToken(env).catch((caught: unknown) => caught as Error);
    expect(error).toMatchObject({ code: 'IDENTITY_FAILED', message: expect.stringContaining('failed (3)') as string });
    expect(JSON.stringify(error) + (error as Error).message).not.toContain('secret');
  });

  test('a variable, as GitLab sets it, comes first', async () => {
    expect(await ambientToken({ SIGSTORE_ID_TOKEN: 'x', GITHUB_ACTIONS: 'true' })).toEqual({ token: 'x', source: '$SIGSTORE_ID_TOKEN' });
    expect(await ambientToken({})).toBeUndefined();
  });
});

describe('tokens', () => {
  test('the address, else the subject, is what is proven', () => {
    expect(parseIdentityToken(fakeToken({ email: 'a@example.com', email_verified: true }), 'x').subject).toBe('a@example.com');
    expect(parseIdentityToken(` ${fakeToken()}\n`, 'x')).toMatchObject({
      subject: 'dev@example.com',
      issuer: 'https://issuer.example.com',
    });
  });

  test.each([
    ['one that expired', () => fakeToken({ exp: 1_700_000_000 }), 'expired 2023-11-14'],
    [
      'an address that nobody checked',
      () => fakeToken({ email: 'a@example.com', email_verified: 'false' }),
      'has not verified the address',
    ],
    ['no subject', () => fakeToken({ sub: undefined }), 'holds no identity token'],
    ['no token', () => 'secret-but-no-token', 'holds no identity token'],
  ])('%s', (_, make, message) => {
    const token = make();
    const attempt = (): unknown => parseIdentityToken(token, 'here');
    expect(attempt).toThrow(message);
    expect(attempt).not.toThrow(token);
  });
});

describe('of a person', () => {
  test('browser: the login page sends the code back', async () => {
    const { issuer } = await provider();
    const told: string[] = [];
    // the browser: it follows the redirection to the port of this process
    const token = await browserToken(
      { issuer, tell: (line) => told.push(line) },
      (url) => void fetch(url).then(async (page) => await page.text()),
    );
    expect(parseIdentityToken(token, issuer)).toMatchObject({ subject: 'dev@example.com', issuer });
    expect(told[0]).toContain(`${issuer}/auth?`);
  });

  test('browser: a request that was not started here is not heard', async () => {
    const server = await provider();
    const statuses: number[] = [];
    const token = browserToken({ issuer: server.issuer, tell: () => {} }, (url) => {
      const redirect = new URL(url).searchParams.get('redirect_uri') ?? '';
      void (async () => {
        for (const query of ['code=stolen&state=guess', 'code=stolen']) statuses.push((await fetch(`${redirect}?${query}`)).status);
        await fetch(url);
      })();
    });
    expect(parseIdentityToken(await token, 'x').subject).toBe('dev@example.com');
    expect(statuses).toEqual([404, 404]);
  });

  test('browser: what the provider says went wrong', async () => {
    const { issuer } = await provider();
    await expect(browserToken({ issuer, tell: () => {} }, refuse)).rejects.toMatchObject({
      code: 'IDENTITY_FAILED',
      message: expect.stringContaining('not today') as string,
    });
  });

  test('a device code: asked again until somebody entered it', async () => {
    const server = await provider();
    server.pending = 3;
    const told: string[] = [];
    expect(parseIdentityToken(await deviceToken({ issuer: server.issuer, tell: (line) => told.push(line) }), 'x').subject).toBe(
      'dev@example.com',
    );
    expect(told).toEqual([`open ${server.issuer}/enter in a browser, and enter the code ABCD-EFGH if it asks for one`]);
    expect(server.requests.filter((one) => one === 'POST /token')).toHaveLength(4);
  });

  test('a provider that describes another', async () => {
    const { issuer } = await provider();
    await expect(deviceToken({ issuer: issuer.replace('localhost', '127.0.0.1'), tell: () => {} })).rejects.toMatchObject({
      code: 'SERVICE_FAILED',
      message: expect.stringContaining('does not describe the issuer') as string,
    });
  });
});

describe('services', () => {
  test('those of now, the newest API that is known, one an operator', async () => {
    const rekorTlogUrls = [
      service('https://old.example.com', 1, '2024-01-01T00:00:00Z'),
      service('https://now.example.com', 2, '2025-01-01T00:00:00Z'),
      service('https://later.example.com', 2, '2027-01-01T00:00:00Z'),
      service('https://unknown.example.com', 3, '2025-01-01T00:00:00Z'),
      service('https://other.example.com', 1, '2025-01-01T00:00:00Z', { operator: 'two' }),
    ];
    const urls = async (rekorTlogConfig: object): Promise<string[]> =>
      (await read(config({ rekorTlogUrls, rekorTlogConfig }))).logs.map(({ url }) => url);
    expect(await urls({ selector: 'ANY' })).toEqual(['https://now.example.com']);
    expect(await urls({ selector: 'ALL' })).toEqual(['https://now.example.com', 'https://other.example.com']);
    expect(await urls({ selector: 'EXACT', count: 2 })).toEqual(['https://now.example.com', 'https://other.example.com']);
    await expect(urls({ selector: 'EXACT', count: 3 })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('asks for 3') as string,
    });
  });

  test('an empty one names none', async () => {
    expect(await read(config({ rekorTlogConfig: {}, tsaConfig: {} }))).toEqual({
      fulcioUrl: undefined,
      oidcIssuer: undefined,
      logs: [],
      timestampUrls: [],
    });
    for (const text of ['{}', '{', config({ caUrls: [{ url: 'file:///etc', majorApiVersion: 1 }] })])
      await expect(read(text)).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  });

  test('a private authority is not logged in public, and a certificate needs a time', async () => {
    const signing = openSigner({ fulcioUrl: 'https://fulcio.example.com', env: {} });
    await expect(signing).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('nothing would prove when') as string,
    });
    const undated = openSigner({
      fulcioUrl: 'https://fulcio.example.com',
      rekorUrl: 'https://rekor.example.com',
      rekorVersion: 2,
      env: {},
    });
    await expect(undated).rejects.toMatchObject({ hint: expect.stringContaining('--timestamp-server-url') as string });
  });

  test('nobody to ask', async () => {
    await expect(openSigner({ env: {} })).rejects.toMatchObject({ code: 'IDENTITY_FAILED' });
  });
});
