import { createServer, type IncomingMessage, request as httpRequest, type RequestListener } from 'node:http';
import { once } from 'node:events';
import { createServer as createTlsServer } from 'node:https';
import { connect as connectSocket, type AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { KitError } from '../../../src/errors.ts';
import { proxyFor } from '../../../src/registry/proxy.ts';
import { type Authority, createAuthority, hasOpenssl } from '../../support/certificates.ts';
import { collect, connect, randomBlob } from '../../support/registry-client.ts';

const PROXY = { HTTPS_PROXY: 'http://proxy:3128' };

describe('which proxy', () => {
  test.each<[string, Record<string, string>, string | undefined]>([
    ['https://ghcr.io', {}, undefined],
    ['https://ghcr.io', PROXY, 'http://proxy:3128/'],
    ['https://ghcr.io', { https_proxy: 'proxy:3128' }, 'http://proxy:3128/'],
    ['https://ghcr.io', { HTTP_PROXY: 'http://proxy' }, undefined],
    ['http://ghcr.io', { HTTP_PROXY: 'http://proxy' }, 'http://proxy/'],
    ['http://localhost:5000', { HTTP_PROXY: 'http://proxy' }, undefined],
    ['http://127.0.0.9:5000', { HTTP_PROXY: 'http://proxy' }, undefined],
    ['https://ghcr.io', { ...PROXY, NO_PROXY: '*' }, undefined],
    ['https://ghcr.io', { ...PROXY, NO_PROXY: 'quay.io, GHCR.io' }, undefined],
    ['https://a.ghcr.io', { ...PROXY, NO_PROXY: 'ghcr.io' }, undefined],
    ['https://aghcr.io', { ...PROXY, NO_PROXY: 'ghcr.io' }, 'http://proxy:3128/'],
    ['https://a.ghcr.io', { ...PROXY, NO_PROXY: '.ghcr.io' }, undefined],
    ['https://ghcr.io', { ...PROXY, NO_PROXY: '.ghcr.io' }, 'http://proxy:3128/'],
    ['https://a.ghcr.io', { ...PROXY, NO_PROXY: '*.ghcr.io' }, undefined],
    ['https://ghcr.io:8443', { ...PROXY, NO_PROXY: 'ghcr.io:443' }, 'http://proxy:3128/'],
    ['https://ghcr.io', { ...PROXY, NO_PROXY: 'ghcr.io:443' }, undefined],
    ['https://10.1.2.3', { ...PROXY, NO_PROXY: '10.0.0.0/8' }, undefined],
    ['https://11.1.2.3', { ...PROXY, NO_PROXY: '10.0.0.0/8,10.0.0.0/99,x/8' }, 'http://proxy:3128/'],
    ['https://[fd00::1]', { ...PROXY, no_proxy: 'fd00::/8' }, undefined],
    ['https://[fd00::1]:5000', { ...PROXY, NO_PROXY: '[fd00::1]:5000' }, undefined],
    ['https://[fd00::1]', { ...PROXY, NO_PROXY: 'fd00::1' }, undefined],
  ])('%s with %o', (url, env, expected) => {
    expect(proxyFor(new URL(url), { env })?.href).toBe(expected);
  });

  test('a given one wins, even for localhost', () => {
    expect(proxyFor(new URL('http://localhost'), { proxy: 'http://other:1', env: PROXY })?.href).toBe('http://other:1/');
  });

  test('one that is no http URL is refused without showing it', () => {
    expect(() => proxyFor(new URL('https://x'), { proxy: 'ftp://user:secret@proxy' })).toThrowError(
      new KitError('CONFIG_INVALID', '--proxy is not the http or https URL of a proxy', { hint: 'write http://HOST:PORT' }),
    );
  });
});

describe('a proxy for single registries', () => {
  const registries = [
    { host: 'ghcr.io', proxy: 'http://own:1' },
    { host: '*.corp', proxy: 'none' },
  ];

  test.each([
    ['https://ghcr.io', 'http://own:1/'],
    ['https://a.corp', undefined],
    ['https://quay.io', 'http://proxy:3128/'],
  ])('%s', (url, expected) => {
    // said of the very host, it comes before what the environment says of all
    expect(proxyFor(new URL(url), { env: PROXY, registries })?.href).toBe(expected);
    expect(proxyFor(new URL(url), { env: PROXY, registries, proxy: 'http://flag' })?.href).toBe('http://flag/');
  });

  test('a password in it is not shown', () => {
    expect(() => proxyFor(new URL('https://x'), { registries: [{ host: 'x', proxy: 'ftp://user:secret@proxy' }] })).toThrowError(
      /^the proxy of `x` in the configuration is not the http or https URL of a proxy$/,
    );
  });
});

interface TestProxy {
  readonly url: string;
  /** `METHOD target`, and the Proxy-Authorization where there is one. */
  readonly seen: string[];
}

/** A forwarding proxy that remembers what went through it. */
async function startProxy(tls?: { readonly cert: string; readonly key: string }): Promise<TestProxy> {
  const seen: string[] = [];
  const note = ({ method, url, headers }: IncomingMessage): void => {
    seen.push([method, url, headers['proxy-authorization']].filter((part) => part !== undefined).join(' '));
  };
  const forward: RequestListener = (incoming, outgoing) => {
    note(incoming);
    const forwarded = httpRequest(incoming.url ?? '', { method: incoming.method ?? 'GET', headers: incoming.headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(outgoing);
    });
    forwarded.on('error', () => outgoing.destroy());
    incoming.pipe(forwarded);
  };
  const server = tls === undefined ? createServer(forward) : createTlsServer(tls, forward);
  server.on('connect', (incoming, socket, head) => {
    note(incoming);
    const [host = '', port = ''] = (incoming.url ?? '').split(':');
    const upstream = connectSocket(Number(port), host, () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      upstream.write(head);
      upstream.pipe(socket);
      socket.pipe(upstream);
    });
    // either side may close first
    upstream.on('error', () => socket.destroy());
    socket.on('error', () => upstream.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${(server.address() as AddressInfo).port}`, seen };
}

test('requests go through the proxy, by their plain URL: it can keep what it saw', async () => {
  const proxy = await startProxy();
  const { target, registry } = await connect({}, () => ({ proxy: proxy.url }));
  const { blob, bytes } = randomBlob(1000);
  await registry.addBlob('team/model', bytes);
  expect((await collect(await target.fetch(blob))).equals(bytes)).toBe(true);
  expect((await collect(await target.fetch(blob, { range: { start: 1, end: 5 } }))).equals(bytes.subarray(1, 5))).toBe(true);
  const url = `GET ${registry.url}/v2/team/model/blobs/${blob.digest}`;
  expect(proxy.seen).toEqual([url, url]);
});

test('a proxy that is not there is a network error that names it', async () => {
  const { target } = await connect({}, () => ({ proxy: 'http://user:secret@127.0.0.1:1' }));
  await expect(target.has(randomBlob(1).blob)).rejects.toMatchObject({
    code: 'NETWORK',
    message: expect.stringContaining('cannot be reached through the proxy 127.0.0.1:1 (ECONNREFUSED)') as unknown,
  });
});

describe.skipIf(!hasOpenssl)('to an https registry', () => {
  let own: Authority;
  let ofProxy: Authority;
  beforeAll(async () => {
    [own, ofProxy] = await Promise.all([createAuthority(), createAuthority()]);
  });
  afterAll(async () => {
    await Promise.all([own.close(), ofProxy.close()]);
  });

  test('there is a tunnel, with the credentials of the proxy for the proxy only', async () => {
    const proxy = await startProxy();
    const { target, registry } = await connect({ tls: own.server }, () => ({
      plainHttp: false,
      proxy: proxy.url.replace('//', '//user:pass%20word@'),
      caFiles: [own.own.certFile],
    }));
    const { blob, bytes } = randomBlob(2_500_000);
    await registry.addBlob('team/model', bytes);
    expect((await collect(await target.fetch(blob))).equals(bytes)).toBe(true);
    const basic = `Basic ${Buffer.from('user:pass word').toString('base64')}`;
    expect(new Set(proxy.seen)).toEqual(new Set([`CONNECT ${registry.host} ${basic}`]));
    expect(registry.requests.every(({ headers }) => headers['proxy-authorization'] === undefined)).toBe(true);
  });

  test('the certificate of the registry is checked through it', async () => {
    const proxy = await startProxy();
    const { target, registry } = await connect({ tls: own.server }, () => ({ plainHttp: false, proxy: proxy.url }));
    await expect(target.has(randomBlob(1).blob)).rejects.toMatchObject({ code: 'TLS_FAILED' });
    expect(registry.requests).toEqual([]);
  });

  test('the proxy itself may be reached by TLS, and is checked as well', async () => {
    const proxy = await startProxy(ofProxy.server);
    const options = { plainHttp: false, proxy: proxy.url };
    const trusting = await connect({ tls: own.server }, () => ({ ...options, caFiles: [own.own.certFile, ofProxy.own.certFile] }));
    expect(await trusting.target.has(randomBlob(1).blob)).toBe(false);
    expect(proxy.seen).toEqual([`CONNECT ${trusting.registry.host}`]);
    const wary = await connect({ tls: own.server }, () => ({ ...options, caFiles: [own.own.certFile] }));
    await expect(wary.target.has(randomBlob(1).blob)).rejects.toMatchObject({ code: 'TLS_FAILED' });
    expect(wary.registry.requests).toEqual([]);
  });

  test('what a proxy says instead of opening a tunnel is told', async () => {
    const refusing = createServer().on('connect', (_, socket) => socket.end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n'));
    refusing.listen(0, '127.0.0.1');
    await once(refusing, 'listening');
    onTestFinished(() => void refusing.close());
    const proxy = `http://127.0.0.1:${(refusing.address() as AddressInfo).port}`;
    const { target } = await connect({ tls: own.server }, () => ({ plainHttp: false, proxy }));
    await expect(target.has(randomBlob(1).blob)).rejects.toMatchObject({
      code: 'NETWORK',
      message: expect.stringContaining('407') as unknown,
    });
  });

  test('a proxy that decrypts, as that of Dragonfly does, needs only its authority to be trusted', async () => {
    // it shows a certificate of its own in place of the registry's
    const { target, registry } = await connect({ tls: ofProxy.server }, (host) => ({
      plainHttp: false,
      registries: [{ host, caFiles: [ofProxy.own.certFile] }],
    }));
    expect(await target.has(randomBlob(1).blob)).toBe(false);
    expect(registry.requests).toHaveLength(1);
  });
});
