import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { describe, expect, test } from 'vitest';
import { KitError } from '../../../src/errors.ts';
import { GetPool } from '../../../src/registry/get-pool.ts';
import { TransientError } from '../../../src/registry/transient.ts';
import type { Transport } from '../../../src/registry/transport.ts';
import { collect } from '../../support/registry-client.ts';
import { ok, serve, transportOf } from './raw-server.ts';

async function get(transport: Transport, url: URL, signal?: AbortSignal): Promise<string> {
  const response = await transport.send({ method: 'GET', url, headers: { range: 'bytes=0-9' }, isBulk: true, signal });
  return (await collect(response.body)).toString();
}

describe('a plain answer', () => {
  test('is read from the socket, and its connection used again', async () => {
    const { url, asked, sockets } = await serve(({ socket, request }) => socket.write(ok(`answer ${request}`)));
    const transport = transportOf();
    expect(await get(transport, url)).toBe('answer 1');
    expect(await get(transport, url)).toBe('answer 2');
    expect(sockets.size).toBe(1);
    expect(asked[0]?.text).toBe(
      `GET /a?b=c HTTP/1.1\r\nhost: ${url.host}\r\nconnection: keep-alive\r\nuser-agent: ocikit\r\naccept-encoding: identity\r\nrange: bytes=0-9\r\n\r\n`,
    );
  });

  test('may come in any pieces', async () => {
    const { url } = await serve(({ socket }) => {
      const bytes = ok('0123456789');
      const send = (at: number): void => {
        if (at < bytes.length) socket.write(bytes.slice(at, at + 1), () => setImmediate(send, at + 1));
      };
      send(0);
    });
    expect(await get(transportOf(), url)).toBe('0123456789');
  });

  test('of any status is handed on', async () => {
    const { url } = await serve(({ socket }) => socket.write('HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\nX-A: b\r\n\r\nno'));
    const response = await transportOf().send({ method: 'GET', url, headers: {}, isBulk: true });
    expect([response.status, response.header('x-a'), (await collect(response.body)).toString()]).toEqual([404, 'b', 'no']);
  });

  test('that ends the connection is followed by another connection', async () => {
    const { url, sockets } = await serve(({ socket }) => socket.end(ok('bye', 'Connection: close')));
    const transport = transportOf();
    expect(await get(transport, url)).toBe('bye');
    expect(await get(transport, url)).toBe('bye');
    expect(sockets.size).toBe(2);
  });

  test('that is discarded leaves a usable connection when it is small, and none when it is large', async () => {
    const { url, sockets } = await serve(({ socket, request }) => socket.write(ok('x'.repeat(request === 1 ? 10 : 200_000))));
    const transport = transportOf();
    for (const count of [1, 1, 2]) {
      const response = await transport.send({ method: 'GET', url, headers: {}, isBulk: true });
      await response.discard();
      expect(sockets.size).toBe(count);
    }
  });
});

describe('a kept connection', () => {
  test('that the server has closed is replaced, without a trace', async () => {
    const { url, sockets } = await serve(({ socket, request }) => {
      if (request === 1) socket.write(ok('fine'));
      else socket.destroy();
    });
    const transport = transportOf();
    expect(await get(transport, url)).toBe('fine');
    expect(await get(transport, url)).toBe('fine');
    expect(sockets.size).toBe(2);
  });

  test('that breaks within an answer is not', async () => {
    const { url, sockets } = await serve(({ socket, request }) => {
      if (request === 1) socket.write(ok('fine'));
      else socket.end('HTTP/1.1 2');
    });
    const transport = transportOf();
    expect(await get(transport, url)).toBe('fine');
    await expect(get(transport, url)).rejects.toMatchObject({ code: 'NETWORK' });
    expect(sockets.size).toBe(1);
  });

  test('never takes bytes out of turn for an answer', async () => {
    const { url, sockets } = await serve(({ socket, request, connection }) => socket.write(ok(`${connection}.${request}`)));
    const transport = transportOf();
    expect(await get(transport, url)).toBe('1.1');
    const [first] = sockets;
    if (first === undefined) throw new Error('no connection');
    first.write(ok('smuggled'));
    await once(first, 'close');
    expect(await get(transport, url)).toBe('2.1');
  });

  test('with more than the answer is left to the parser of Node', async () => {
    const { url, sockets } = await serve(({ socket, request, connection }) =>
      socket.write(ok(`${connection}.${request}`) + (connection === 1 ? ok('smuggled') : '')),
    );
    expect(await get(transportOf(), url)).toBe('2.1');
    expect(sockets.size).toBe(2);
  });
});

describe('an answer of another kind is left to the parser of Node, which asks again', () => {
  test.each([
    ['chunks', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n'],
    ['an interim answer', `HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n${ok('hello')}`],
    ['a body to the end of the connection', 'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello'],
  ])('%s', async (_name, bytes) => {
    const { url, asked } = await serve(({ socket }) => void (bytes.includes('close') ? socket.end(bytes) : socket.write(bytes)));
    const transport = transportOf();
    expect(await get(transport, url)).toBe('hello');
    expect(asked).toHaveLength(2);
    // the origin is known now
    expect(await get(transport, url)).toBe('hello');
    expect(asked).toHaveLength(3);
  });

  test.each([
    ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!'],
    ['a negative length', 'HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello'],
    ['NUL in a header', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: a\0b\r\n\r\nhello'],
    ['no HTTP', 'SSH-2.0-OpenSSH_9.9\r\n\r\n'],
    ['a head without end', `HTTP/1.1 200 OK\r\n${'X-A: 0123456789\r\n'.repeat(10_000)}`],
  ])('%s: and refuses it', async (_name, bytes) => {
    const { url } = await serve(({ socket }) => socket.write(bytes));
    await expect(get(transportOf(), url)).rejects.toMatchObject({ code: 'NETWORK' });
  });

  test.each([
    ['a header value', { 'x-a': 'b\r\nx-c: d' }],
    ['a header name', { 'x-a: b\r\nx-c': 'd' }],
  ])('%s that would end the head is not sent', async (_name, headers) => {
    const { url, asked } = await serve(({ socket }) => socket.write(ok('')));
    await expect(transportOf().send({ method: 'GET', url, headers, isBulk: true })).rejects.toMatchObject({ code: 'NETWORK' });
    expect(asked).toEqual([]);
  });
});

const TRANSIENT = { isTransient: true, code: 'NETWORK' };

/** What `work` rejects with. */
async function failureOf(work: Promise<unknown>): Promise<{ isTransient: boolean; code: string; message: string }> {
  try {
    await work;
  } catch (error) {
    if (error instanceof KitError) return { isTransient: error instanceof TransientError, code: error.code, message: error.message };
  }
  throw new Error('not rejected with an error of ours');
}

describe.each(['socket', 'parser'] as const)('a failure, with bodies read by %s', (bodyReader) => {
  test('before the answer is transient', async () => {
    const { url } = await serve(({ socket }) => socket.destroy());
    expect(await failureOf(get(transportOf({ bodyReader }), url))).toMatchObject(TRANSIENT);
  });

  test('within the head is transient', async () => {
    const { url } = await serve(({ socket }) => socket.end('HTTP/1.1 200 OK\r\nContent-Le'));
    await expect(get(transportOf({ bodyReader }), url)).rejects.toMatchObject({ code: 'NETWORK' });
  });

  test('within the body comes after what arrived', async () => {
    const { url } = await serve(({ socket }) => socket.end(ok('x'.repeat(500)).slice(0, -100)));
    const response = await transportOf({ bodyReader }).send({ method: 'GET', url, headers: {}, isBulk: true });
    let read = 0;
    const reading = async () => {
      for await (const chunk of response.body) read += chunk.byteLength;
    };
    expect(await failureOf(reading())).toMatchObject(TRANSIENT);
    expect(read).toBe(400);
  });

  test('a server that says nothing is given up', async () => {
    const { url } = await serve(() => undefined);
    expect(await failureOf(get(transportOf({ bodyReader, stallTimeoutMs: 200 }), url))).toMatchObject(TRANSIENT);
  });

  test('a server that stops within the body is given up', async () => {
    const { url } = await serve(({ socket }) => socket.write(ok('x'.repeat(500)).slice(0, -100)));
    expect(await failureOf(get(transportOf({ bodyReader, stallTimeoutMs: 200 }), url))).toMatchObject(TRANSIENT);
  });

  test('a host that nobody is at is an error, and transient once it was reached', async () => {
    const server = createServer((socket) => void socket.once('data', () => socket.end(ok('fine', 'Connection: close'))));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    const transport = transportOf({ bodyReader });
    expect(await get(transport, url)).toBe('fine');
    server.close();
    await once(server, 'close');
    expect(await failureOf(get(transport, url))).toMatchObject(TRANSIENT);
    expect(await failureOf(get(transportOf({ bodyReader }), url))).toMatchObject({
      isTransient: false,
      code: 'NETWORK',
      message: expect.stringContaining('ECONNREFUSED') as unknown,
    });
  });

  test('an aborted request rejects with the reason, in every phase', async () => {
    const reason = new Error('stop');
    const controllers: AbortController[] = [];
    const { url } = await serve(({ socket, text }) => {
      if (text.includes('/body')) socket.write(ok('x'.repeat(500)).slice(0, -100));
      if (text.includes('/head')) socket.write('HTTP/1.1 200 OK\r\n');
      setImmediate(() => controllers.at(-1)?.abort(reason));
    });
    for (const path of ['/nothing', '/head', '/body']) {
      const controller = new AbortController();
      controllers.push(controller);
      await expect(get(transportOf({ bodyReader }), new URL(path, url), controller.signal)).rejects.toBe(reason);
    }
  });

  test('closing the transport breaks what is under way', async () => {
    const { url } = await serve(({ socket }) => socket.write(ok('x'.repeat(500)).slice(0, -100)));
    const transport = transportOf({ bodyReader });
    const response = await transport.send({ method: 'GET', url, headers: {}, isBulk: true });
    const body = collect(response.body);
    await transport.close();
    await expect(body).rejects.toMatchObject({ code: 'NETWORK' });
  });
});

test('a fast server is held back while nobody reads', async () => {
  const size = 64 * 1024 * 1024;
  const piece = Buffer.alloc(1024 * 1024);
  const { url, sockets } = await serve(({ socket }) => {
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`);
    for (let at = 0; at < size; at += piece.byteLength) socket.write(piece);
  });
  const response = await transportOf().send({ method: 'GET', url, headers: {}, isBulk: true });
  const [socket] = sockets;
  let read = 0;
  let unsent = 0;
  for await (const chunk of response.body) {
    if (read === 0) unsent = socket?.writableLength ?? 0;
    read += chunk.byteLength;
  }
  // what the kernel and the reader hold is far from all of it
  expect(unsent).toBeGreaterThan(size / 2);
  expect(read).toBe(size);
});

test('a pool leaves what it cannot say safely', async () => {
  const pool = new GetPool({ limits: { connectMs: 1000, silenceMs: 1000 }, tls: () => Promise.reject(new Error('not asked')) });
  const request = { url: new URL('http://127.0.0.1:1/'), headers: { 'x-a': '\u2028' }, signal: undefined };
  expect(await pool.send(request)).toBeUndefined();
});
