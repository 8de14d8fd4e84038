import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { hash } from 'bcryptjs';
import { beforeAll, describe as suite, expect, test } from 'vitest';
import { authenticator, hashPassword, parseHtpasswd, type Users } from '../../../src/server/authenticate.ts';
import { serveStore } from '../../support/kit-serve.ts';
import { hasOpenssl, selfSigned } from '../../support/self-signed.ts';

let users: Users;
beforeAll(async () => {
  // cheap hashes: how dear they are is up to whoever made the file
  users = new Map([
    ['alice', await hash('secret', 4)],
    ['bob', (await hash('päss:wörd', 4)).replace('$2b$', '$2y$')],
  ]);
});

function withHeader(authorization?: string): IncomingMessage {
  return { headers: { authorization } } as unknown as IncomingMessage;
}

function basic(user: string, password: string): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
}

suite('basic authentication', () => {
  test.each([
    ['alice', 'secret'],
    ['bob', 'päss:wörd'],
  ])('%s may come in, again and again', async (user, password) => {
    const authenticate = authenticator(users);
    await expect(authenticate(withHeader(basic(user, password)))).resolves.toBeUndefined();
    await expect(authenticate(withHeader(basic(user, password)))).resolves.toBeUndefined();
  });

  test.each([
    ['no credentials', undefined],
    ['a wrong password', basic('alice', 'wrong')],
    ['an empty password', basic('alice', '')],
    ['an unknown user', basic('carol', 'secret')],
    ["another's password", basic('bob', 'secret')],
    ['a hash as password', `Basic ${Buffer.from('alice:$2b$').toString('base64')}`],
    ['another scheme', 'Bearer secret'],
    ['no base64', 'Basic ::::'],
    ['no colon', `Basic ${Buffer.from('alice').toString('base64')}`],
  ])('%s: no', async (_what, header) => {
    const authenticate = authenticator(users);
    await authenticate(withHeader(basic('alice', 'secret')));
    await expect(authenticate(withHeader(header))).rejects.toMatchObject({
      status: 401,
      code: 'UNAUTHORIZED',
      headers: { 'WWW-Authenticate': 'Basic realm="kit serve"' },
    });
  });

  test('guesses wait in a queue that ends', async () => {
    const authenticate = authenticator(users);
    const guesses = Array.from({ length: 70 }, async (_, index) => await authenticate(withHeader(basic('alice', `guess ${index}`))));
    const answers = await Promise.allSettled(guesses);
    const statuses = answers.map((answer) => (answer.status === 'rejected' ? (answer.reason as { status: number }).status : 200));
    expect(new Set(statuses)).toEqual(new Set([401, 429]));
    await authenticate(withHeader(basic('alice', 'secret')));
  });

  test('a password of the command line', async () => {
    const authenticate = authenticator(new Map([['ci', await hashPassword('token')]]));
    await authenticate(withHeader(basic('ci', 'token')));
    await expect(authenticate(withHeader(basic('ci', 'other')))).rejects.toMatchObject({ status: 401 });
  });
});

suite('htpasswd', () => {
  test('users, comments and empty lines', async () => {
    const line = await hash('x', 4);
    const parsed = parseHtpasswd(`# users\n\nalice:${line}\r\nbob:${line}\n`, 'f');
    expect([...parsed]).toEqual([
      ['alice', line],
      ['bob', line],
    ]);
  });

  test.each([
    ['sha1', `alice:{SHA}${createHash('sha1').update('x').digest('base64')}`],
    ['apr1', 'alice:$apr1$abcdefgh$abcdefghijklmnopqrstuv'],
    ['a plain password', 'alice:secret'],
    ['no user', ':$2y$05$abc'],
    ['no colon', 'alice'],
  ])('%s is refused, and not repeated', (_what, line) => {
    const parse = () => parseHtpasswd(`# users\n${line}\n`, 'users.txt');
    expect(parse).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID', message: 'users.txt:2: not a user with a bcrypt hash' }));
  });

  test('a file without users would let nobody in', () => {
    expect(() => parseHtpasswd('# none\n', 'f')).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
  });
});

suite('a server with users', () => {
  test('asks at every endpoint, before it looks at anything', async () => {
    const server = await serveStore({ authenticate: authenticator(users) });
    for (const [method, path] of [
      ['GET', '/v2/'],
      ['GET', '/v2/_catalog'],
      ['GET', '/v2/team/model/manifests/v1'],
      ['POST', '/v2/team/model/blobs/uploads/'],
      ['GET', '/nowhere'],
    ] as const) {
      const refused = await fetch(server.url + path, { method });
      expect([refused.status, refused.headers.get('www-authenticate')]).toEqual([401, 'Basic realm="kit serve"']);
      expect(await refused.json()).toMatchObject({ errors: [{ code: 'UNAUTHORIZED' }] });
    }
    const welcome = await fetch(`${server.url}/v2/`, { headers: { authorization: basic('alice', 'secret') } });
    expect(welcome.status).toBe(200);
    await server.close();
  });

  test.skipIf(!hasOpenssl)('speaks https', async () => {
    const { cert, key } = await selfSigned();
    const server = await serveStore({ tls: { cert, key } });
    expect(server.url).toMatch(/^https:/);
    const status = await new Promise((resolve, reject) => {
      request(`${server.url}/v2/`, { ca: cert, agent: false }, (response) => {
        response.resume();
        resolve(response.statusCode);
      })
        .on('error', reject)
        .end();
    });
    expect(status).toBe(200);
    await server.close();
    await expect(serveStore({ tls: { cert, key: 'nonsense' } })).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  });
});
