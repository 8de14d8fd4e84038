import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';
import type { NetworkOptions } from '../../../src/registry/options.ts';
import { Transport } from '../../../src/registry/transport.ts';

export interface Asked {
  readonly socket: Socket;
  /** Head of the request. */
  readonly text: string;
  /** Of the connection and of the request on it, from 1. */
  readonly connection: number;
  readonly request: number;
}

/** A server that says what it is told to, byte for byte. */
export async function serve(answer: (asked: Asked) => void) {
  const asked: Asked[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    const connection = sockets.size;
    let request = 0;
    socket.on('error', () => undefined);
    socket.on('data', (data) => {
      request += 1;
      const one = { socket, text: data.toString('latin1'), connection, request };
      asked.push(one);
      answer(one);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/a?b=c`);
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { url, asked, sockets };
}

export function transportOf(options: NetworkOptions = {}): Transport {
  const transport = new Transport(options);
  onTestFinished(async () => {
    await transport.close();
  });
  return transport;
}

/** An answer of 200 with this body. */
export const ok = (body: string, ...headers: string[]) =>
  ['HTTP/1.1 200 OK', `Content-Length: ${body.length}`, ...headers, '', body].join('\r\n');
