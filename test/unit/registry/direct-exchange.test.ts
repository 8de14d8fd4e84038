import { describe, expect, test } from 'vitest';
import { collect } from '../../support/registry-client.ts';
import { ok, serve, transportOf } from './raw-server.ts';

const MiB = 1024 * 1024;
const headers = (size: number) => ({ 'content-length': String(size) });

/** A body of `count` chunks of 1 MiB; `isOver` tells that its reader has left. */
function endless(count: number) {
  const state = { yielded: 0, isOver: false };
  async function* chunks(): AsyncGenerator<Uint8Array> {
    try {
      for (; state.yielded < count; state.yielded += 1) yield new Uint8Array(MiB);
    } finally {
      state.isOver = true;
    }
  }
  return { state, body: chunks() };
}

async function* silent(): AsyncGenerator<Uint8Array> {
  yield new Uint8Array(10);
  await new Promise(() => undefined);
}

async function* changed(): AsyncGenerator<Uint8Array> {
  yield new Uint8Array(10);
  throw new Error('changed meanwhile');
}

async function* hello(): AsyncGenerator<Uint8Array> {
  yield Buffer.from('hello');
}

describe('an answer before all was sent', () => {
  test('ends the sending, though the server takes no more', async () => {
    const { url, sockets } = await serve(({ socket, request }) => {
      if (request > 1) return;
      socket.pause();
      socket.write('HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno');
    });
    const { state, body } = endless(1024);
    const response = await transportOf().send({ method: 'PUT', url, headers: headers(1024 * MiB), body });
    expect([response.status, (await collect(response.body)).toString()]).toEqual([413, 'no']);
    expect(state.isOver).toBe(true);
    expect(state.yielded).toBeLessThan(100);
    expect(sockets.size).toBe(1);
  });

  test('is not kept waiting by a source that says nothing more', async () => {
    const { url } = await serve(({ socket, request }) => {
      if (request === 1) socket.write('HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n');
    });
    const response = await transportOf().send({ method: 'PUT', url, headers: headers(20), body: silent() });
    await response.discard();
    expect(response.status).toBe(401);
  });

  test('leaves no connection to the next request', async () => {
    const { url, asked } = await serve(({ socket, request }) => {
      if (request === 1) socket.write('HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n');
    });
    const transport = transportOf();
    for (let at = 0; at < 2; at += 1) {
      const response = await transport.send({ method: 'PUT', url, headers: headers(1024 * MiB), body: endless(1024).body });
      await response.discard();
    }
    expect(Math.max(...asked.map(({ connection }) => connection))).toBe(2);
  });
});

describe('a body', () => {
  test('that fails after its last byte fails the request, though the server was content', async () => {
    const { url } = await serve(({ socket }) => socket.write('HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n'));
    await expect(transportOf().send({ method: 'PUT', url, headers: headers(10), body: changed() })).rejects.toMatchObject({
      cause: { message: 'changed meanwhile' },
    });
  });

  test('of unknown length goes in chunks', async () => {
    const { url, asked } = await serve(({ socket, text }) => {
      if (text.endsWith('0\r\n\r\n')) socket.write(ok('fine'));
    });
    const response = await transportOf().send({ method: 'PATCH', url, headers: {}, body: hello() });
    expect((await collect(response.body)).toString()).toBe('fine');
    const sent = asked.map(({ text }) => text).join('');
    expect(sent).toMatch(/transfer-encoding: chunked/i);
    expect(sent).toContain('5\r\nhello\r\n0\r\n\r\n');
  });
});

/** Closes the first connection at its second request. */
const forgetful = async () =>
  await serve(({ socket, connection, request }) => {
    if (connection === 1 && request === 2) socket.destroy();
    else socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
  });

describe('a kept connection that the server has closed', () => {
  test.each(['GET', 'HEAD'] as const)('costs a %s nothing', async (method) => {
    const { url } = await forgetful();
    const transport = transportOf();
    for (let at = 0; at < 2; at += 1) {
      const response = await transport.send({ method, url, headers: {} });
      await response.discard();
      expect(response.status).toBe(200);
    }
  });

  test.each(['PUT', 'POST', 'DELETE'] as const)('is an error of a %s, which may have been carried out', async (method) => {
    const { url, asked } = await forgetful();
    const transport = transportOf();
    await (await transport.send({ method: 'GET', url, headers: {} })).discard();
    await expect(transport.send({ method, url, headers: {} })).rejects.toMatchObject({ code: 'NETWORK' });
    expect(asked.map(({ text }) => text.split(' ')[0])).toEqual(['GET', method]);
  });
});

test('interim answers are passed over', async () => {
  const { url } = await serve(({ socket }) =>
    socket.write(`HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n${ok('fine')}`),
  );
  const response = await transportOf().send({ method: 'GET', url, headers: {} });
  expect([response.status, (await collect(response.body)).toString()]).toEqual([200, 'fine']);
});

test('aborting ends a request that waits for its answer', async () => {
  const controller = new AbortController();
  const reason = new Error('enough');
  const { url } = await serve(() => controller.abort(reason));
  await expect(transportOf().send({ method: 'POST', url, headers: {}, signal: controller.signal, isPatient: true })).rejects.toBe(reason);
});

test('user and password of a URL are not sent', async () => {
  const { url, asked } = await serve(({ socket }) => socket.write(ok('fine')));
  const named = new URL(url);
  named.username = 'user';
  named.password = 'word';
  await (await transportOf().send({ method: 'GET', url: named, headers: {} })).discard();
  expect(asked[0]?.text).not.toMatch(/authorization/i);
});
