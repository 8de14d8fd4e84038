import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** What has passed since the last `reset`. */
export interface Traffic {
  /** Bytes from the server to the client, heads included. */
  received: number;
  /** Bytes from the client to the server, heads included. */
  sent: number;
  /** Request lines from the client. */
  requests: number;
  connections: number;
}

export interface CountingProxy extends AsyncDisposable {
  /** `127.0.0.1:PORT` */
  readonly host: string;
  readonly traffic: Readonly<Traffic>;
  reset(): void;
}

// the longest line that a match can begin in one chunk and end in the next
const CARRIED_BYTES = 8192;
const REQUEST_LINE = /^(?:GET|HEAD|POST|PUT|PATCH|DELETE) \S+ HTTP\/1\.1\r$/gm;

/** A TCP proxy to `to` (`HOST:PORT`) that counts. Requests are exact where requests have no bodies: in a pull. */
export async function startCountingProxy(to: string): Promise<CountingProxy> {
  const [hostname = '', port = ''] = to.split(':');
  const traffic: Traffic = { received: 0, sent: 0, requests: 0, connections: 0 };
  const open = new Set<Socket>();
  const server = createServer((client) => {
    traffic.connections++;
    const upstream = connect({ host: hostname, port: Number(port), noDelay: true });
    const countRequests = requestCounter();
    for (const [from, into] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      open.add(from);
      from.on('close', () => open.delete(from) && into.destroy()).on('error', () => into.destroy());
      from.pipe(into);
    }
    client.setNoDelay(true).on('data', (chunk: Buffer) => {
      traffic.sent += chunk.byteLength;
      traffic.requests += countRequests(chunk);
    });
    upstream.on('data', (chunk: Buffer) => (traffic.received += chunk.byteLength));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    traffic,
    reset: () => Object.assign(traffic, { received: 0, sent: 0, requests: 0, connections: 0 } satisfies Traffic),
    [Symbol.asyncDispose]: async () => {
      for (const socket of open) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

/** Counts request lines in a stream that comes in pieces. */
function requestCounter(): (chunk: Buffer) => number {
  let rest = '';
  return (chunk) => {
    const text = rest + chunk.toString('latin1');
    const end = text.lastIndexOf('\n') + 1;
    rest = text.slice(end).slice(-CARRIED_BYTES);
    return text.slice(0, end).match(REQUEST_LINE)?.length ?? 0;
  };
}
