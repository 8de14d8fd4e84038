import { spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';

export const hasOpenssl = spawnSync('openssl', ['version']).status === 0;

/** A certificate for 127.0.0.1 that is its own authority, with its key: PEM texts and the files they are in until the test ends. */
export async function selfSigned(): Promise<{ cert: string; key: string; certFile: string; keyFile: string }> {
  const directory = await mkdtemp(join(tmpdir(), 'self-signed-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  const certFile = join(directory, 'cert.pem');
  const keyFile = join(directory, 'key.pem');
  const subject = ['-subj', '/CN=test registry', '-addext', 'subjectAltName=IP:127.0.0.1'];
  const algorithm = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'];
  spawnSync('openssl', ['req', '-x509', '-nodes', '-days', '2', ...algorithm, ...subject, '-keyout', keyFile, '-out', certFile]);
  return { cert: await readFile(certFile, 'utf8'), key: await readFile(keyFile, 'utf8'), certFile, keyFile };
}
