import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { measure, type Sample } from './measure.ts';

export const CP = 'cp';
export const CP_REFLINK = 'cp --reflink';
export const SHA256 = 'SHA-256, 1 thread';
export const SHA256_TWICE = 'SHA-256, 2 threads';
export const LOOPBACK = 'TCP on loopback';
export const GET = 'GET of all layers, thrown away';

const READ_BYTES = 1024 * 1024;

/** True where the file system of `work` shares blocks between copies. */
export function hasReflinks(work: string): boolean {
  const [file, copy] = [join(work, 'reflink-from'), join(work, 'reflink-to')];
  writeFileSync(file, 'x'.repeat(8192));
  const { status } = spawnSync('cp', ['--reflink=always', file, copy], { stdio: 'ignore' });
  for (const path of [file, copy]) rmSync(path, { force: true });
  return status === 0;
}

/** `cp -r` of a folder within one file system; `reflink` is an option for where blocks can be shared. */
export async function copyFolder(folder: string, work: string, reflink?: 'never' | 'always'): Promise<Sample> {
  const copy = join(work, 'limit-copy');
  const sample = await measure({ argv: ['cp', '-r', ...(reflink === undefined ? [] : [`--reflink=${reflink}`]), folder, copy] });
  rmSync(copy, { recursive: true, force: true });
  return sample;
}

/** OpenSSL's SHA-256 by node:crypto over `size` bytes of memory, shared out between threads that run already. */
export async function hashMemory(size: number, threads: number): Promise<Sample> {
  const workers = Array.from({ length: threads }, () => new Worker(new URL('hash-worker.ts', import.meta.url)));
  const hash = async (length: number): Promise<void> => {
    await Promise.all(
      workers.map(async (worker) => {
        worker.postMessage(length);
        await once(worker, 'message');
      }),
    );
  };
  await hash(READ_BYTES);
  const sample = await timed(() => hash(Math.ceil(size / threads)));
  await Promise.all(workers.map((worker) => worker.terminate()));
  return sample;
}

/** `size` bytes from the memory of one thread to that of another over one connection. */
export async function sendOverLoopback(size: number): Promise<Sample> {
  const worker = new Worker(new URL('loopback-worker.ts', import.meta.url), { workerData: size });
  const [port] = (await once(worker, 'message')) as [number];
  const sample = await timed(async () => {
    const received = await receive(port);
    if (received !== size) throw new Error(`${received} of ${size} bytes came over the loopback`);
  });
  await worker.terminate();
  return sample;
}

/** Every layer of `repository:v1` from a registry, each over its own connection into one piece of memory, without looking at it. */
export async function getLayers(host: string, repository: string): Promise<Sample> {
  const accept = 'application/vnd.oci.image.manifest.v1+json';
  const response = await fetch(`http://${host}/v2/${repository}/manifests/v1`, { headers: { accept } });
  const { layers } = (await response.json()) as { layers: { digest: string; size: number }[] };
  const port = Number(host.split(':')[1]);
  return await timed(async () => {
    await Promise.all(
      layers.map(async ({ digest, size }) => {
        const head = `GET /v2/${repository}/blobs/${digest} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`;
        const received = await receive(port, head);
        if (received < size) throw new Error(`${received} of ${size} bytes of ${digest} came`);
      }),
    );
  });
}

/** Says `greeting` and counts the bytes until the other side ends. */
async function receive(port: number, greeting = ''): Promise<number> {
  let received = 0;
  const buffer = new Uint8Array(READ_BYTES);
  const onread = { buffer, callback: (length: number) => (received += length) > 0 };
  const socket = connect({ port, host: '127.0.0.1', onread });
  if (greeting !== '') socket.write(greeting);
  await once(socket, 'close');
  return received;
}

async function timed(action: () => Promise<void>): Promise<Sample> {
  const before = process.cpuUsage();
  const started = performance.now();
  await action();
  const seconds = (performance.now() - started) / 1000;
  const { user, system } = process.cpuUsage(before);
  return { seconds, cpu: (user + system) / 1e6, peak: Number.NaN };
}
