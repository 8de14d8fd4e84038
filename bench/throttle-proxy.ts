// A TCP proxy that limits each connection: bytes per second towards the client, and a delay before each side hears the other.
//   node bench/throttle-proxy.ts --listen 0 --to HOST:PORT --rate 40MB --delay 20
// Prints the port. `--delay` is the round trip in milliseconds.
import { connect, createServer, type Socket } from 'node:net';
import { parseArgs } from 'node:util';
import { parseByteSize } from '../src/oci/byte-size.ts';

const { values } = parseArgs({
  options: {
    listen: { type: 'string', default: '0' },
    to: { type: 'string' },
    rate: { type: 'string', default: '40MB' },
    delay: { type: 'string', default: '20' },
  },
});
const [, host = '', port = ''] = /^(.+):(\d+)$/.exec(values.to ?? '') ?? [];
if (port === '') throw new Error('--to HOST:PORT is missing');
const bytesPerMs = parseByteSize(values.rate, '--rate') / 1000;
const oneWayMs = Number(values.delay) / 2;
/** What may be on the way at once, as a window of TCP would allow. */
const MAX_IN_FLIGHT = 1024 * 1024;

/** Passes on what `from` sends, in order, `oneWayMs` later and no faster than `rate` bytes a millisecond. */
function pass(from: Socket, to: Socket, rate: number): void {
  const queue: { readonly bytes: Buffer | undefined; readonly due: number }[] = [];
  /** When the link has carried all that it was given. */
  let freeAt = performance.now();
  let inFlight = 0;
  let timer: NodeJS.Timeout | undefined;
  const add = (bytes: Buffer | undefined): void => {
    freeAt = Math.max(freeAt, performance.now()) + (bytes?.byteLength ?? 0) / rate;
    queue.push({ bytes, due: freeAt + oneWayMs });
    deliver();
  };
  const delivered = (bytes: number): void => {
    inFlight -= bytes;
    if (inFlight < MAX_IN_FLIGHT) from.resume();
  };
  // a timer fires late by up to a millisecond or two: what is due by then goes with it
  const deliver = (): void => {
    if (timer !== undefined) return;
    for (let next = queue[0]; next !== undefined && next.due <= performance.now() + 1; next = queue[0]) {
      queue.shift();
      const { bytes } = next;
      if (bytes === undefined) to.end();
      else to.write(bytes, () => delivered(bytes.byteLength));
    }
    const [first] = queue;
    if (first === undefined) return;
    timer = setTimeout(() => {
      timer = undefined;
      deliver();
    }, first.due - performance.now());
  };
  from.on('data', (bytes: Buffer) => {
    inFlight += bytes.byteLength;
    if (inFlight >= MAX_IN_FLIGHT) from.pause();
    add(bytes);
  });
  from.on('end', () => add(undefined));
  from.on('error', () => to.destroy());
  from.on('close', () => {
    if (from.readableEnded) return;
    clearTimeout(timer);
    to.destroy();
  });
}

const server = createServer((client) => {
  const upstream = connect({ host, port: Number(port), noDelay: true });
  client.setNoDelay(true);
  pass(client, upstream, Number.POSITIVE_INFINITY);
  pass(upstream, client, bytesPerMs);
});
server.listen(Number(values.listen), '127.0.0.1', () => {
  const address = server.address();
  console.log(typeof address === 'object' && address !== null ? address.port : '');
});
