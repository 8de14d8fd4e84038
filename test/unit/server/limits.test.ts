import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe as suite, expect, test } from 'vitest';
import { digestOf } from '../../../src/oci/digest.ts';
import { startServer } from '../../../src/server/server.ts';
import { UploadSessions } from '../../../src/server/upload-sessions.ts';
import { WriteLease } from '../../../src/server/write-lease.ts';
import { openStore } from '../../../src/targets/store.ts';
import { serveStore, type TestServer } from '../../support/kit-serve.ts';
import { codesOf, pushArtifact, pushBlob } from './api.ts';

let server: TestServer;
beforeEach(async () => {
  server = await serveStore();
});
afterEach(() => server.close());

const BLOB = Buffer.from('0123456789');
const digest = digestOf(BLOB);

async function open(): Promise<Socket> {
  const socket = connect(server.port, '127.0.0.1');
  await once(socket, 'connect');
  return socket;
}

/** Sends these bytes on a connection of their own, and returns all that comes back until the server closes it. */
async function exchange(request: string): Promise<string> {
  const socket = await open();
  socket.write(request);
  return await text(socket);
}

const begin = async (): Promise<string> =>
  (await fetch(`${server.url}/v2/team/model/blobs/uploads/`, { method: 'POST' })).headers.get('location') ?? '';
const stateOf = async (location: string): Promise<string | null> => (await fetch(server.url + location)).headers.get('range');
const ingest = async (): Promise<string[]> => await readdir(join(server.directory, 'ingest')).catch(() => []);
const leases = async (): Promise<string[]> => await readdir(join(server.directory, 'leases')).catch(() => []);

suite('what clients may send', () => {
  test.each([
    '/v2/../../etc/passwd/manifests/v1',
    '/v2/team/%2e%2e/manifests/v1',
    '/v2/Team/manifests/v1',
    '/v2/a//b/manifests/v1',
    `/v2/${'a/'.repeat(200)}a/manifests/v1`,
  ])('the name in %s is refused', async (path) => {
    const answer = await exchange(`GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1\.1 400 .*NAME_INVALID/s);
  });

  test.each(['..', '.hidden', '%2e%2e%2fx', 'a%2Fb', 'x'.repeat(129), 'sha256:..', `sha256:${'A'.repeat(64)}`])(
    'the reference %s is refused',
    async (reference) => {
      const answer = await exchange(`GET /v2/team/model/manifests/${reference} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
      expect(answer).toMatch(/^HTTP\/1\.1 400 .*(TAG|DIGEST)_INVALID/s);
    },
  );

  test('headers have a limit', async () => {
    const answer = await exchange(`GET /v2/ HTTP/1.1\r\nHost: x\r\nX: ${'a'.repeat(20_000)}\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1\.1 431 /);
  });

  test('a body that would be refused is not asked for, another one is', async () => {
    const refused = await exchange(
      'PATCH /v2/team/model/blobs/uploads/none HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n',
    );
    expect(refused).toMatch(/^HTTP\/1\.1 404 /);
    const socket = await open();
    socket.write(
      `POST /v2/team/model/blobs/uploads/?digest=${digest} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nConnection: close\r\nContent-Length: 10\r\n\r\n`,
    );
    const [continued] = (await once(socket, 'data')) as [Buffer];
    expect(continued.toString()).toMatch(/^HTTP\/1\.1 100 /);
    socket.write(BLOB);
    expect(await text(socket)).toMatch(/HTTP\/1\.1 201 /);
  });

  test('a manifest without an end is cut off at the limit', async () => {
    const socket = await open();
    socket.write('PUT /v2/team/model/manifests/v1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n');
    const mebibyte = `100000\r\n${' '.repeat(1_048_576)}\r\n`;
    for (let count = 0; count < 5; count += 1) socket.write(mebibyte);
    const [answer] = (await once(socket, 'data')) as [Buffer];
    expect(answer.toString()).toMatch(/^HTTP\/1\.1 413 /);
    socket.destroy();
  });
});

/** Promises ten bytes and sends four. */
async function sendPart(location: string): Promise<Socket> {
  const socket = await open();
  socket.write(`PATCH ${location} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n0123`);
  // small parts are not held back: the state tells when they arrived
  await expect.poll(async () => await stateOf(location)).toBe('0-3');
  return socket;
}

suite('uploads that break', () => {
  test('can be gone on with where they were', async () => {
    const location = await begin();
    (await sendPart(location)).destroy();
    const rest = await fetch(`${server.url}${location}?digest=${digest}`, {
      method: 'PUT',
      headers: { 'content-range': '4-9' },
      body: BLOB.subarray(4),
    });
    expect(rest.status).toBe(201);
    expect(await ingest()).toEqual([]);
  });

  test('also while the old connection only seems to be alive', async () => {
    const location = await begin();
    const socket = await sendPart(location);
    const closed = once(socket, 'close');
    const rest = await fetch(`${server.url}${location}?digest=${digest}`, {
      method: 'PUT',
      headers: { 'content-range': '4-9' },
      body: BLOB.subarray(4),
    });
    expect(rest.status).toBe(201);
    await closed;
  });

  test('leave a large part behind whole', async () => {
    const location = await begin();
    const socket = await open();
    socket.write(`PATCH ${location} HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n`);
    const part = Buffer.alloc(2_500_000, 'abc');
    socket.resume().end(part);
    await once(socket, 'close');
    await expect.poll(async () => await stateOf(location)).toBe('0-2499999');
    const done = await fetch(`${server.url}${location}?digest=${digestOf(part)}`, { method: 'PUT' });
    expect(done.status).toBe(201);
  });

  test('leave nothing when the server ends, nor when nobody comes back', async () => {
    let now = 0;
    const { blobs } = server.content;
    const sessions = new UploadSessions(blobs, () => now);
    const empty = await sessions.begin('team/model', 'sha256');
    const begun = await sessions.begin('team/model', 'sha256');
    await begun.upload.append(oneChunk());
    now += 16 * 60 * 1000;
    await sessions.sweep();
    expect(() => sessions.find('team/model', empty.id)).toThrow('unknown');
    expect(sessions.find('team/model', begun.id)).toBe(begun);
    now += 25 * 60 * 60 * 1000;
    await sessions.sweep();
    expect([sessions.size, await ingest()]).toEqual([0, []]);
    await (await sessions.begin('team/model', 'sha256')).upload.append(oneChunk());
    expect(await ingest()).toHaveLength(1);
    await sessions.close();
    expect(await ingest()).toEqual([]);
  });

  test('so many at a time', async () => {
    const sessions = new UploadSessions(server.content.blobs);
    for (let count = 0; count < 1000; count += 1) await sessions.begin('team/model', 'sha256');
    await expect(sessions.begin('team/model', 'sha256')).rejects.toMatchObject({ status: 429, code: 'TOOMANYREQUESTS' });
    await sessions.close();
  });
});

async function* oneChunk(): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(BLOB);
}

suite('clients that stand still', () => {
  const IDLE_MS = 30;

  test.each([
    ['before a request', ''],
    ['in the headers', 'GET /v2/ HTTP/1.1\r\nHost: x\r\n'],
    ['in the body', 'PUT /v2/team/model/manifests/v1 HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n0123'],
  ])('%s are let go', async (_where, part) => {
    const impatient = await startServer(server.content, { host: '127.0.0.1', port: 0, idleMs: IDLE_MS });
    const socket = connect(impatient.port, '127.0.0.1');
    socket.write(part);
    socket.resume();
    await once(socket, 'close');
    await impatient.close();
    expect(socket.bytesRead).toBe(0);
  });

  test('while those that wait for the server are not', async () => {
    const { promise: gate, resolve: open } = Promise.withResolvers<void>();
    const { content } = server;
    const slow = {
      ...content,
      repositories: async () => {
        await gate;
        return await content.repositories();
      },
    };
    const impatient = await startServer(slow, { host: '127.0.0.1', port: 0, idleMs: IDLE_MS });
    const answer = fetch(`${impatient.url}/v2/_catalog`);
    // two that came later and do nothing are gone by then
    for (let count = 0; count < 2; count += 1) await once(connect(impatient.port, '127.0.0.1').resume(), 'close');
    open();
    expect((await answer).status).toBe(200);
    await impatient.close();
  });
});

suite('garbage', () => {
  test('is not collected in the middle of a push, and is when it ended', async () => {
    const collect = async (): Promise<boolean> => {
      await (await openStore(join(server.directory, '..'))).collectGarbage();
      return (await server.content.blobs.sizeOf(digest)) !== undefined;
    };
    await pushBlob(server, 'team/model', BLOB);
    expect(await collect()).toBe(true);
    await pushArtifact(server, 'team/model', 'v1');
    expect(await leases()).toEqual([]);
    expect(await collect()).toBe(false);
    await pushArtifact(server, 'team/model', 'v1', { layer: '0123456789' });
    // who asks whether a blob is here will not send it
    expect((await fetch(`${server.url}/v2/team/model/blobs/${digest}`, { method: 'HEAD' })).status).toBe(200);
    expect(await leases()).toHaveLength(1);
  });

  test('of others waits until the last has finished', async () => {
    let granted = 0;
    let ended = 0;
    const lease = new WriteLease(async () => {
      granted += 1;
      return await Promise.resolve({ [Symbol.asyncDispose]: async () => void (await Promise.resolve((ended += 1))) });
    });
    await lease.during(async () => {
      await lease.during(async () => await Promise.resolve());
      await lease.end();
      expect([granted, ended]).toEqual([1, 0]);
    });
    await lease.end();
    expect([granted, ended]).toEqual([1, 1]);
    await lease.during(async () => await Promise.resolve());
    expect([granted, ended]).toEqual([2, 1]);
    await lease.end();
  });
});

suite('read-only', () => {
  test('pulls, and refuses all else', async () => {
    const { digest: manifest } = await pushArtifact(server, 'team/model', 'v1', { layer: '0123456789' });
    const readOnly = await startServer(server.content, { host: '127.0.0.1', port: 0, isReadOnly: true });
    const call = async (method: string, path: string) => await fetch(readOnly.url + path, { method });
    expect((await call('GET', `/v2/team/model/manifests/${manifest}`)).status).toBe(200);
    expect((await call('HEAD', `/v2/team/model/blobs/${digest}`)).status).toBe(200);
    for (const [method, path] of [
      ['POST', '/v2/team/model/blobs/uploads/'],
      ['PUT', '/v2/team/model/manifests/v2'],
      ['DELETE', '/v2/team/model/manifests/v1'],
      ['DELETE', `/v2/team/model/blobs/${digest}`],
    ] as const) {
      const refused = await call(method, path);
      expect([refused.status, await codesOf(refused)]).toEqual([405, ['UNSUPPORTED']]);
    }
    await readOnly.close();
    expect(await leases()).toEqual([]);
  });
});
