import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/** A server that runs beside the measured commands. */
export interface Server extends AsyncDisposable {
  /** `127.0.0.1:PORT` */
  readonly host: string;
}

const READY_MS = 20_000;

/**
 * CNCF Distribution's `docker-registry` on a free port of the loopback, with an empty storage in `folder`; both go away with it.
 * With https its certificate is one that nobody trusts; OpenSSL makes it.
 */
export async function startRegistry(folder: string, scheme: 'http' | 'https' = 'http'): Promise<Server> {
  if (spawnSync('docker-registry', ['--version']).status !== 0) {
    throw new Error('docker-registry is not on PATH (Debian: apt install docker-registry)');
  }
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const host = `127.0.0.1:${await freePort()}`;
  const config = join(folder, 'config.yml');
  const tls = scheme === 'http' ? '' : `, tls: ${makeCertificate(folder)}`;
  writeFileSync(
    config,
    `version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: ${join(folder, 'storage')}}}\nhttp: {addr: "${host}"${tls}}\n`,
  );
  // OTEL: newer versions would look for a trace collector
  const child = spawn('docker-registry', ['serve', config], { stdio: 'ignore', env: { ...process.env, OTEL_TRACES_EXPORTER: 'none' } });
  const stop = async (): Promise<void> => {
    await kill(child);
    rmSync(folder, { recursive: true, force: true });
  };
  const deadline = Date.now() + READY_MS;
  while (!(await isReady(host))) {
    if (child.exitCode !== null || Date.now() > deadline) {
      await stop();
      throw new Error(`docker-registry does not start on ${host}`);
    }
    // a poll, bounded by the deadline
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return { host, [Symbol.asyncDispose]: stop };
}

/** Runs `script` of bench/ as a server: the last number of its first line on stdout is the port. */
export async function startScript(script: string, args: readonly string[]): Promise<Server> {
  const child = spawn(process.execPath, [join(import.meta.dirname, '..', script), ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout });
  const line = await Promise.race([
    once(lines, 'line').then(([text]) => String(text)),
    once(child, 'exit').then(([code]) => {
      throw new Error(`bench/${script} ended with ${String(code)} at its start`);
    }),
  ]);
  const port = /(\d+)\D*$/.exec(line)?.[1];
  if (port === undefined) {
    await kill(child);
    throw new Error(`bench/${script} printed no port: ${line}`);
  }
  return { host: `127.0.0.1:${port}`, [Symbol.asyncDispose]: () => kill(child) };
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** As the configuration of the registry names it. */
function makeCertificate(folder: string): string {
  const [certificate, key] = [join(folder, 'tls.crt'), join(folder, 'tls.key')];
  const names = ['-subj', '/CN=bench', '-addext', 'subjectAltName=IP:127.0.0.1'];
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];
  const { status, stderr } = spawnSync('openssl', ['req', '-x509', ...kind, ...names, '-keyout', key, '-out', certificate]);
  if (status !== 0) throw new Error(`openssl makes no certificate: ${String(stderr)}`);
  return `{certificate: ${certificate}, key: ${key}}`;
}

async function isReady(host: string): Promise<boolean> {
  const [address = '', port = ''] = host.split(':');
  const socket = connect(Number(port), address);
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
