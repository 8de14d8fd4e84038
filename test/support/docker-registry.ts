import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { request } from 'undici';

export interface DockerRegistryOptions {
  /** Text of an htpasswd file (bcrypt): turns on basic auth. */
  readonly htpasswd?: string;
}

export interface DockerRegistry {
  /** `127.0.0.1:PORT` */
  readonly host: string;
  readonly url: string;
  close(): Promise<void>;
}

/** False where CNCF Distribution's `docker-registry` is not installed (Debian: `apt install docker-registry`). */
export const hasDockerRegistry = spawnSync('docker-registry', ['--version']).status === 0;

/** Starts CNCF Distribution on a free port with an empty file system storage and deletion allowed. */
export async function startDockerRegistry(options: DockerRegistryOptions = {}): Promise<DockerRegistry> {
  const directory = await mkdtemp(join(tmpdir(), 'docker-registry-'));
  const host = `127.0.0.1:${await freePort()}`;
  const config = join(directory, 'config.yml');
  const htpasswd = join(directory, 'htpasswd');
  if (options.htpasswd !== undefined) await writeFile(htpasswd, options.htpasswd);
  await writeFile(config, configuration(host, directory, options.htpasswd === undefined ? undefined : htpasswd));
  // OTEL: newer versions would look for a trace collector
  const child = spawn('docker-registry', ['serve', config], { stdio: 'ignore', env: { ...process.env, OTEL_TRACES_EXPORTER: 'none' } });
  const exited = once(child, 'exit');
  const close = async () => {
    child.kill('SIGKILL');
    await exited;
    await rm(directory, { recursive: true, force: true });
  };
  const registry = { host, url: `http://${host}`, close };
  try {
    await untilReady(registry.url, () => child.exitCode !== null);
  } catch (error) {
    await close();
    throw error;
  }
  return registry;
}

function configuration(host: string, directory: string, htpasswd: string | undefined): string {
  const lines = [
    'version: 0.1',
    'log: {level: error, accesslog: {disabled: true}}',
    `storage: {filesystem: {rootdirectory: ${join(directory, 'storage')}}, delete: {enabled: true}}`,
    `http: {addr: "${host}"}`,
  ];
  if (htpasswd !== undefined) lines.push(`auth: {htpasswd: {realm: test, path: ${htpasswd}}}`);
  return `${lines.join('\n')}\n`;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

async function untilReady(url: string, hasExited: () => boolean): Promise<void> {
  const deadline = Date.now() + 20_000;
  for (;;) {
    try {
      const response = await request(`${url}/v2/`);
      await response.body.dump();
      return;
    } catch (error) {
      if (hasExited() || Date.now() > deadline) throw new Error('docker-registry does not start', { cause: error });
      // a poll, bounded by the deadline
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}
