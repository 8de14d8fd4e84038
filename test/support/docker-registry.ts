import { spawnSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort, startDaemon } from './daemon.ts';

export interface DockerRegistryOptions {
  /** Text of an htpasswd file (bcrypt): turns on basic auth. */
  readonly htpasswd?: string;
  /** Turns on token auth. `certificates` is the text of a PEM file: whose tokens are good. */
  readonly token?: { readonly realm: string; readonly service: string; readonly issuer: string; readonly certificates: string };
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
  const host = `127.0.0.1:${await freePort()}`;
  const url = `http://${host}`;
  const daemon = await startDaemon({
    command: 'docker-registry',
    url: `${url}/v2/`,
    // newer versions would look for a trace collector
    env: { OTEL_TRACES_EXPORTER: 'none' },
    prepare: async (directory) => {
      await writeFile(join(directory, 'htpasswd'), options.htpasswd ?? '');
      await writeFile(join(directory, 'certificates.pem'), options.token?.certificates ?? '');
      await writeFile(join(directory, 'config.yml'), configuration(host, directory, options));
      return ['serve', join(directory, 'config.yml')];
    },
  });
  return { host, url, close: async () => await daemon.close() };
}

function configuration(host: string, directory: string, { htpasswd, token }: DockerRegistryOptions): string {
  const lines = [
    'version: 0.1',
    'log: {level: error, accesslog: {disabled: true}}',
    `storage: {filesystem: {rootdirectory: ${join(directory, 'storage')}}, delete: {enabled: true}}`,
    `http: {addr: "${host}"}`,
  ];
  if (htpasswd !== undefined) lines.push(`auth: {htpasswd: {realm: test, path: ${join(directory, 'htpasswd')}}}`);
  if (token !== undefined) {
    const { realm, service, issuer } = token;
    lines.push(
      `auth: {token: {realm: "${realm}", service: "${service}", issuer: "${issuer}", rootcertbundle: ${join(directory, 'certificates.pem')}}}`,
    );
  }
  return `${lines.join('\n')}\n`;
}
