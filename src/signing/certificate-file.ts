import { X509Certificate } from 'node:crypto';
import { open } from 'node:fs/promises';
import { asPathError } from '../blobs/path-error.ts';
import { KitError } from '../errors.ts';

/** The roots of an operating system have less than half of it. */
const MAX_BYTES = 1024 * 1024;

/** The certificates of a PEM file, in its order: one at least. @throws KitError PATH_NOT_FOUND | PATH_UNREADABLE | CONFIG_INVALID */
export async function readCertificates(file: string): Promise<[X509Certificate, ...X509Certificate[]]> {
  const [first, ...others] = blocksOf(await readText(file)).map((pem, index) => parse(pem, file, index));
  if (first === undefined) throw invalid(file, 'it holds no PEM block `CERTIFICATE`');
  return [first, ...others];
}

async function readText(file: string): Promise<string> {
  const bytes = Buffer.alloc(MAX_BYTES + 1);
  let length = 0;
  try {
    await using handle = await open(file, 'r');
    // a pipe has no size
    for (let read = 1; read > 0 && length < bytes.length; length += read)
      ({ bytesRead: read } = await handle.read(bytes, length, bytes.length - length, null));
  } catch (error) {
    throw asPathError(error, file);
  }
  if (length > MAX_BYTES) throw invalid(file, `it has more than ${MAX_BYTES} bytes`);
  return bytes.toString('latin1', 0, length);
}

function blocksOf(text: string): string[] {
  return [...text.matchAll(/-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]*-----END CERTIFICATE-----/g)].map(([block]) => block);
}

function parse(pem: string, file: string, index: number): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch (cause) {
    throw invalid(file, `its PEM block ${index + 1} is no certificate`, cause);
  }
}

function invalid(file: string, why: string, cause?: unknown): KitError {
  return new KitError('CONFIG_INVALID', `${file} cannot be used as a certificate: ${why}`, {
    hint: 'give a PEM file with `-----BEGIN CERTIFICATE-----`; DER becomes one by `openssl x509 -inform der`',
    cause,
  });
}
