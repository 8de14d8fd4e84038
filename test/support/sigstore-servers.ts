import { spawnSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Daemon, freePort, startDaemon } from './daemon.ts';
import { type OpenIdServer, startOpenIdServer } from './open-id-server.ts';

/** False unless Fulcio, the server of Rekor's second API (rekor-tiles, POSIX) and the timestamp authority of sigstore are on PATH. */
export const hasSigstoreServers =
  ['fulcio', 'rekor-server-posix', 'timestamp-server'].every((program) => spawnSync(program, ['--help']).status === 0) &&
  spawnSync('cosign', ['version']).status === 0;

/** A private sigstore: a certificate authority, a log, a timestamp authority, an identity provider. */
export interface SigstoreServers {
  readonly provider: OpenIdServer;
  readonly fulcioUrl: string;
  readonly rekorUrl: string;
  readonly timestampUrl: string;
  /** Files as cosign makes them. */
  readonly trustedRoot: string;
  readonly signingConfig: string;
  close(): Promise<void>;
}

/** Starts them; `directory` is for the files. */
export async function startSigstoreServers(directory: string): Promise<SigstoreServers> {
  const provider = await startOpenIdServer();
  const [fulcio, rekor, timestamps] = await Promise.all([startFulcio(provider.issuer), startRekor(), startTimestampServer()]);
  const file = (name: string): string => join(directory, name);
  const { chains } = (await (await fetch(`${fulcio.url}/api/v2/trustBundle`)).json()) as { chains: { certificates: string[] }[] };
  await writeFile(file('fulcio.pem'), chains[0]?.certificates.join('') ?? '');
  await writeFile(file('tsa.pem'), await (await fetch(`${timestamps.url}/api/v1/timestamp/certchain`)).text());
  await writeFile(file('rekor.pub'), rekor.publicKey);
  const start = 'start-time=2024-01-01T00:00:00Z';
  const tsaUrl = `${timestamps.url}/api/v1/timestamp`;
  cosign(
    'trusted-root',
    'create',
    `--fulcio=url=${fulcio.url},certificate-chain=${file('fulcio.pem')}`,
    `--rekor=url=http://rekor.local,public-key=${file('rekor.pub')},${start},origin=rekor.local`,
    `--tsa=url=${tsaUrl},certificate-chain=${file('tsa.pem')}`,
    `--out=${file('trusted-root.json')}`,
  );
  const common = `${start},operator=test`;
  cosign(
    'signing-config',
    'create',
    `--fulcio=url=${fulcio.url},api-version=1,${common}`,
    `--rekor=url=${rekor.url},api-version=2,${common}`,
    '--rekor-config=ANY',
    `--oidc-provider=url=${provider.issuer},api-version=1,${common}`,
    `--tsa=url=${tsaUrl},api-version=1,${common}`,
    '--tsa-config=ANY',
    `--out=${file('signing-config.json')}`,
  );
  return {
    provider,
    fulcioUrl: fulcio.url,
    rekorUrl: rekor.url,
    timestampUrl: tsaUrl,
    trustedRoot: file('trusted-root.json'),
    signingConfig: file('signing-config.json'),
    close: async () => {
      await Promise.all([fulcio, rekor, timestamps].map(async ({ daemon }) => await daemon.close()));
      await provider.close();
    },
  };
}

function cosign(...args: string[]): void {
  const { status, stderr } = spawnSync('cosign', args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`cosign ${args.join(' ')}: ${stderr}`);
}

interface Started {
  readonly daemon: Daemon;
  readonly url: string;
}

async function startFulcio(issuer: string): Promise<Started> {
  const [port, grpc, metrics] = [await freePort(), await freePort(), await freePort()];
  const url = `http://localhost:${port}`;
  const issuers = `oidc-issuers:\n  "${issuer}":\n    issuer-url: "${issuer}"\n    client-id: sigstore\n    type: email\n`;
  const daemon = await startDaemon({
    command: 'fulcio',
    url: `${url}/healthz`,
    prepare: async (directory) => {
      await writeFile(join(directory, 'config.yaml'), issuers);
      const ports = ['--port', String(port), '--grpc-port', String(grpc), '--metrics-port', String(metrics)];
      const socket = ['--legacy-unix-domain-socket', join(directory, 'fulcio.sock')];
      return ['serve', '--ca', 'ephemeralca', '--ct-log-url', '', '--config-path', join(directory, 'config.yaml'), ...ports, ...socket];
    },
  });
  return { daemon, url };
}

async function startRekor(): Promise<Started & { readonly publicKey: string }> {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const [port, grpc, metrics] = [await freePort(), await freePort(), await freePort()];
  const url = `http://localhost:${port}`;
  const daemon = await startDaemon({
    command: 'rekor-server-posix',
    url: `${url}/healthz`,
    prepare: async (directory) => {
      const key = join(directory, 'log.pem');
      await writeFile(key, privateKey.export({ type: 'pkcs8', format: 'pem' }));
      const ports = ['--http-port', String(port), '--grpc-port', String(grpc), '--http-metrics-port', String(metrics)];
      const log = ['--hostname', 'rekor.local', '--storage-dir', join(directory, 'log'), '--signer-filepath', key];
      return ['serve', ...ports, ...log, '--checkpoint-interval', '200ms', '--batch-max-age', '50ms'];
    },
  });
  return { daemon, url, publicKey: publicKey.export({ type: 'spki', format: 'pem' }).toString() };
}

async function startTimestampServer(): Promise<Started> {
  const port = await freePort();
  const url = `http://localhost:${port}`;
  const daemon = await startDaemon({
    command: 'timestamp-server',
    url: `${url}/ping`,
    prepare: async () =>
      await Promise.resolve([
        'serve',
        '--host',
        'localhost',
        '--port',
        String(port),
        '--timestamp-signer',
        'memory',
        '--disable-ntp-monitoring',
      ]),
  });
  return { daemon, url };
}
