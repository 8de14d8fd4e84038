import { createServer, type AddressInfo, type Socket } from 'node:net';
import { parentPort, workerData } from 'node:worker_threads';

// sends `workerData` bytes of memory to whoever connects, then ends
const length = workerData as number;
const buffer = new Uint8Array(1024 * 1024);

function send(socket: Socket, left: number): void {
  while (left > 0) {
    const part = left < buffer.byteLength ? buffer.subarray(0, left) : buffer;
    left -= part.byteLength;
    if (!socket.write(part)) return void socket.once('drain', () => send(socket, left));
  }
  socket.end();
}

const server = createServer((socket) =>
  send(
    socket.on('error', () => {}),
    length,
  ),
).listen(0, '127.0.0.1', () => {
  parentPort?.postMessage((server.address() as AddressInfo).port);
});
