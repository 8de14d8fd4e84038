import { describe, expect, test } from 'vitest';
import { bytesSource } from '../../../src/blob-source.ts';
import { mergeScopes } from '../../../src/registry/auth.ts';
import type { Credential } from '../../../src/registry/credential.ts';
import { endpointOf } from '../../../src/registry/endpoint.ts';
import { requestToken } from '../../../src/registry/token.ts';
import { Transport } from '../../../src/registry/transport.ts';
import { addEmptyManifest, collect, connect, randomBlob } from '../../support/registry-client.ts';
import { startRegistry, type TestRegistry } from '../../support/registry.ts';

const USER = { username: 'alice', password: 'sécret:with colon' };
const as = (credential: Credential) => (host: string) => ({ credentials: { [host]: credential } });

function tokenRequests(registry: TestRegistry) {
  return registry.requests.filter(({ path }) => path.startsWith('/token'));
}

function tokenScopes(registry: TestRegistry): string[][] {
  return tokenRequests(registry).map(({ path }) => new URL(path, registry.url).searchParams.getAll('scope'));
}

describe('basic authentication', () => {
  const auth = { type: 'basic', ...USER } as const;

  test('is sent once it was asked for, and then at once', async () => {
    const { target, registry } = await connect({ auth }, as(USER));
    const { blob } = randomBlob(10);
    expect(await target.has(blob)).toBe(false);
    expect(await target.has(blob)).toBe(false);
    expect(registry.requests.map(({ status }) => status)).toEqual([401, 404, 404]);
  });

  test('with a wrong password is tried once', async () => {
    const { client, registry } = await connect({ auth }, as({ username: 'alice', password: 'wrong' }));
    await expect(client.ping(registry.host)).rejects.toMatchObject({
      code: 'UNAUTHORIZED',
      message: expect.stringContaining('refuses the credentials') as unknown,
      hint: expect.stringContaining(`kit login ${registry.host}`) as unknown,
    });
    expect(registry.requests).toHaveLength(2);
  });

  test('without credentials says how to log in', async () => {
    const { client, registry } = await connect({ auth });
    await expect(client.ping(registry.host)).rejects.toMatchObject({
      code: 'UNAUTHORIZED',
      message: expect.stringContaining('wants credentials') as unknown,
      hint: `log in with \`kit login ${registry.host}\``,
    });
  });

  test('with an identity token says what is missing', async () => {
    const { client, registry } = await connect({ auth }, as({ identityToken: 'x' }));
    await expect(client.ping(registry.host)).rejects.toMatchObject({
      code: 'UNAUTHORIZED',
      hint: expect.stringContaining('--username') as unknown,
    });
  });

  test('is never sent to another registry', async () => {
    const other = await startRegistry({ auth });
    try {
      const { client, registry } = await connect({ auth }, as(USER));
      await client.ping(registry.host);
      await expect(client.ping(other.host)).rejects.toMatchObject({ code: 'UNAUTHORIZED' });
      expect(other.requests.map(({ headers }) => headers.authorization)).toEqual([undefined]);
    } finally {
      await other.close();
    }
  });
});

describe('bearer authentication', () => {
  const auth = { type: 'bearer', ...USER } as const;

  test('gets a token for the scope and keeps it', async () => {
    const { target, registry } = await connect({ auth }, as(USER));
    const { blob, bytes } = randomBlob(1000);
    await target.has(blob);
    await target.push(blob, bytesSource(bytes));
    expect(await collect(await target.fetch(blob))).toEqual(bytes);
    expect(tokenScopes(registry)).toEqual([['repository:team/model:pull'], ['repository:team/model:pull,push']]);
    expect(tokenRequests(registry)[0]?.path).toContain('service=test+registry');
    expect(registry.requests.filter(({ status }) => status === 401)).toHaveLength(1);
  });

  test('ping needs no scope', async () => {
    const { client, registry } = await connect({ auth }, as(USER));
    await client.ping(registry.host);
    expect(tokenScopes(registry)).toEqual([[]]);
  });

  test('requests at the same time share one token', async () => {
    const { target, registry } = await connect({ auth }, as(USER));
    await Promise.all(Array.from({ length: 8 }, () => target.has(randomBlob(10).blob)));
    expect(tokenRequests(registry)).toHaveLength(1);
  });

  test('of one waiter that gives up, the others go on', async () => {
    const { target } = await connect({ auth }, as(USER));
    const controller = new AbortController();
    const reason = new Error('stop');
    const first = target.has(randomBlob(10).blob, { signal: controller.signal });
    const second = target.has(randomBlob(10).blob);
    controller.abort(reason);
    await expect(first).rejects.toBe(reason);
    expect(await second).toBe(false);
  });

  test('a token that ends in the middle of a run is renewed', async () => {
    const { target, registry } = await connect({ auth }, as(USER));
    const { blob, bytes } = randomBlob(1000);
    await target.push(blob, bytesSource(bytes));
    registry.auth.revokeTokens();
    expect(await collect(await target.fetch(blob))).toEqual(bytes);
    registry.auth.revokeTokens();
    expect(await target.has(blob)).toBe(true);
    expect(tokenRequests(registry)).toHaveLength(3);
  });

  test('a token is revoked between the start and the end of an upload', async () => {
    const { target, registry } = await connect({ auth }, as(USER));
    const { blob, bytes } = randomBlob(100_000);
    const source = bytesSource(bytes);
    let opened = 0;
    await target.push(blob, {
      ...source,
      open: (...range) => {
        if (opened++ === 0) registry.auth.revokeTokens();
        return source.open(...range);
      },
    });
    expect(await collect(await target.fetch(blob))).toEqual(bytes);
    expect(opened).toBe(2);
  });

  test('a token that has run out is not sent', async () => {
    const { target, registry } = await connect({ auth: { ...auth, expiresIn: 0 } }, as(USER));
    await target.has(randomBlob(10).blob);
    await target.has(randomBlob(10).blob);
    expect(tokenRequests(registry)).toHaveLength(2);
    expect(registry.requests.filter(({ status }) => status === 401)).toHaveLength(1);
  });

  test('an identity token is traded by POST', async () => {
    const { target, registry } = await connect(
      { auth: { type: 'bearer', refreshToken: 'refresh me' } },
      as({ identityToken: 'refresh me' }),
    );
    expect(await target.has(randomBlob(10).blob)).toBe(false);
    expect(tokenRequests(registry).map(({ method, path, headers }) => [method, path, headers.authorization])).toEqual([
      ['POST', '/token', undefined],
    ]);
  });

  test('a registry token is sent as it is', async () => {
    const { client, registry } = await connect({ auth }, as({ registryToken: 'abc' }));
    await expect(client.ping(registry.host)).rejects.toMatchObject({ code: 'UNAUTHORIZED' });
    expect(registry.requests.map(({ path, headers }) => [path, headers.authorization])).toEqual([
      ['/v2/', undefined],
      ['/v2/', 'Bearer abc'],
    ]);
  });

  test('anonymous tokens are enough to read what is public', async () => {
    const { target, registry } = await connect({ auth: { ...auth, anonymousPull: true } });
    const { blob } = await addEmptyManifest(registry, 'v1');
    expect((await target.resolve('v1')).digest).toBe(blob.digest);
    expect(tokenRequests(registry).map(({ headers }) => headers.authorization)).toEqual([undefined]);
    const other = randomBlob(10);
    await expect(target.push(other.blob, bytesSource(other.bytes))).rejects.toMatchObject({
      code: 'UNAUTHORIZED',
      message: expect.stringContaining('wants credentials') as unknown,
    });
  });

  test('credentials that the token service refuses', async () => {
    const { client, registry } = await connect({ auth }, as({ username: 'alice', password: 'wrong' }));
    await expect(client.ping(registry.host)).rejects.toMatchObject({
      code: 'UNAUTHORIZED',
      message: expect.stringContaining('the token service refuses the credentials') as unknown,
      hint: `log in with \`kit login ${registry.host}\``,
    });
  });

  test('an account whose token does not reach far enough is denied', async () => {
    const { target, registry } = await connect({ auth }, as(USER));
    const challenge = `Bearer realm="${registry.url}/token",service="test registry",error="insufficient_scope"`;
    const refusal = { match: /^POST/, status: 401 as const, headers: { 'WWW-Authenticate': challenge } };
    registry.behaviour.faults.push(refusal, refusal);
    const { blob, bytes } = randomBlob(10);
    await expect(target.push(blob, bytesSource(bytes))).rejects.toMatchObject({ code: 'DENIED' });
  });

  test('a token service elsewhere is given the credentials, since the registry names it', async () => {
    const { client, registry } = await connect({ auth: { ...auth, realm: 'foreign' } }, as(USER));
    await client.ping(registry.host);
    expect(tokenRequests(registry).map(({ origin, headers }) => [origin, headers.authorization?.startsWith('Basic ')])).toEqual([
      ['foreign', true],
    ]);
  });

  test('a token service that redirects is not followed', async () => {
    const { client, registry } = await connect({ auth }, as(USER));
    registry.behaviour.faults.push({ match: /token/, status: 307, headers: { Location: `${registry.foreignUrl}/token` } });
    await expect(client.ping(registry.host)).rejects.toMatchObject({ code: 'REGISTRY_ERROR' });
    expect(registry.requests.filter(({ origin }) => origin === 'foreign')).toEqual([]);
  });

  test.each(['ftp://x/token', 'http://', 'javascript://x'])('the realm %s is refused', async (realm) => {
    const { client, registry } = await connect({ auth: { ...auth, realm: realm as `${string}://${string}` } }, as(USER));
    await expect(client.ping(registry.host)).rejects.toMatchObject({ code: 'REGISTRY_ERROR' });
  });

  test.each([
    ['https://ghcr.io', 'https://169.254.169.254/token'],
    ['https://ghcr.io', 'https://127.0.0.1/token'],
    ['https://ghcr.io', 'https://[::1]/token'],
  ])('a public registry (%s) cannot name the private realm %s', async (origin, realm) => {
    const transport = new Transport({ env: {} });
    const endpoint = endpointOf(origin.replace('https://', ''), false);
    const challenge = { scheme: 'bearer', parameters: new Map([['realm', realm]]) };
    await expect(requestToken(transport, { endpoint, challenge, scopes: [], credential: USER })).rejects.toMatchObject({
      code: 'REGISTRY_ERROR',
      message: expect.stringContaining('private address') as unknown,
    });
  });

  test.each(['{}', '[]', 'no json', '{"token":""}', '{"token":"a\\r\\nX: y"}', '{"token":7}'])(
    'the token answer %s is refused',
    async (body) => {
      const { client, registry } = await connect({ auth }, as(USER));
      registry.behaviour.faults.push({ match: /token/, status: 200, body });
      await expect(client.ping(registry.host)).rejects.toMatchObject({
        code: 'REGISTRY_ERROR',
        message: expect.stringContaining('without a token') as unknown,
      });
    },
  );

  test('a token service that is overloaded is asked again', async () => {
    const { client, registry, delays } = await connect({ auth }, as(USER));
    registry.behaviour.faults.push({ match: /token/, status: 503 });
    await client.ping(registry.host);
    expect(delays).toHaveLength(1);
  });
});

test('a challenge that nobody understands is reported', async () => {
  const { client, registry } = await connect({}, as(USER));
  registry.behaviour.faults.push({ status: 401, headers: { 'WWW-Authenticate': 'Negotiate' } });
  await expect(client.ping(registry.host)).rejects.toMatchObject({ code: 'UNAUTHORIZED' });
});

test('scopes of one resource are joined', () => {
  expect(mergeScopes(['repository:b:push,pull', 'repository:a:pull', 'repository:b:pull', '', 'registry:catalog:*'])).toEqual([
    'registry:catalog:*',
    'repository:a:pull',
    'repository:b:pull,push',
  ]);
});
