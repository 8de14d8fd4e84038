import { spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const hasOpenssl = spawnSync('openssl', ['version']).status === 0;

/** PEM texts, and the files that hold them. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
  readonly certFile: string;
  readonly keyFile: string;
}

export interface Authority {
  /** Of the authority itself; made to be trusted. */
  readonly own: Certificate;
  /** Issued by it for 127.0.0.1 and localhost. */
  readonly server: Certificate;
  close(): Promise<void>;
}

/** A private certificate authority with one server, keys on P-256 or of RSA. */
export async function createAuthority(algorithm: 'ec' | 'rsa' = 'ec'): Promise<Authority> {
  const directory = await mkdtemp(join(tmpdir(), 'authority-'));
  const newKey = algorithm === 'rsa' ? ['-newkey', 'rsa:2048'] : ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'];
  const file = (name: string) => join(directory, name);
  const make = async (name: string, ...args: string[]): Promise<Certificate> => {
    const [certFile, keyFile] = [file(`${name}.pem`), file(`${name}.key`)];
    openssl(['req', '-x509', '-nodes', '-days', '2', ...newKey, '-keyout', keyFile, '-out', certFile, ...args]);
    const [cert, key] = await Promise.all([readFile(certFile, 'utf8'), readFile(keyFile, 'utf8')]);
    return { cert, key, certFile, keyFile };
  };
  const own = await make('authority', '-subj', '/CN=Test Authority');
  const names = ['-addext', 'subjectAltName=IP:127.0.0.1,DNS:localhost', '-addext', 'basicConstraints=critical,CA:FALSE'];
  const server = await make('server', '-subj', '/CN=Test Server', ...names, '-CA', own.certFile, '-CAkey', own.keyFile);
  return { own, server, close: async () => await rm(directory, { recursive: true, force: true }) };
}

function openssl(args: readonly string[]): void {
  const { status, stderr } = spawnSync('openssl', args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`openssl ${args.join(' ')}: ${stderr}`);
}
