import { createServer, request as httpRequest } from 'node:http';
import { once } from 'node:events';
import { connect as connectSocket, type AddressInfo } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { KitError } from '../../../src/errors.ts';
import { proxyFor } from '../../../src/registry/proxy.ts';
import { connect, randomBlob } from '../../support/registry-client.ts';

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

/** A forwarding proxy that remembers what went through it. */
async function startProxy(): Promise<{ url: string; seen: string[] }> {
  const seen: string[] = [];
  const server = createServer((incoming, outgoing) => {
    seen.push(`${incoming.method} ${incoming.url}`);
    const forwarded = httpRequest(incoming.url ?? '', { method: incoming.method ?? 'GET', headers: incoming.headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(outgoing);
    });
    incoming.pipe(forwarded);
  });
  server.on('connect', (incoming, socket, head) => {
    seen.push(`CONNECT ${incoming.url}`);
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
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen };
}

test('requests go through the proxy', async () => {
  const proxy = await startProxy();
  const { target, registry } = await connect({}, () => ({ proxy: proxy.url }));
  const { blob, bytes } = randomBlob(1000);
  await registry.addBlob('team/model', bytes);
  expect(await target.has(blob)).toBe(true);
  expect(proxy.seen).toHaveLength(1);
});

test('a proxy that is not there is a network error', async () => {
  const { target } = await connect({}, () => ({ proxy: 'http://127.0.0.1:1' }));
  await expect(target.has(randomBlob(1).blob)).rejects.toMatchObject({ code: 'NETWORK' });
});
