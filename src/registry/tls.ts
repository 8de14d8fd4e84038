import { readFile } from 'node:fs/promises';
import { createSecureContext, getCACertificates, type SecureContext } from 'node:tls';
import { KitError } from '../errors.ts';
import type { NetworkOptions } from './options.ts';

export interface TlsSettings {
  readonly secureContext: SecureContext;
  readonly rejectUnauthorized: boolean;
}

/**
 * One context for all connections: parsing the authorities anew for each would cost milliseconds every time.
 * Trusted are Node's authorities, the system's and `caFiles`.
 * @throws KitError CONFIG_INVALID when a PEM file cannot be used
 */
export async function tlsSettings(options: NetworkOptions): Promise<TlsSettings> {
  const { clientCert, clientKey, caFiles = [] } = options;
  if ((clientCert === undefined) !== (clientKey === undefined)) {
    const [given, missing] = clientCert === undefined ? ['key', 'certificate'] : ['certificate', 'key'];
    throw new KitError('CONFIG_INVALID', `A client ${given} needs its ${missing}`, { hint: 'give both `--cert` and `--key`' });
  }
  const [cert, key, ...own] = await Promise.all([readPem(clientCert), readPem(clientKey), ...caFiles.map(readPem)]);
  const authorities = new Set([...getCACertificates('default'), ...getCACertificates('system'), ...own.filter((pem) => pem !== undefined)]);
  try {
    const secureContext = createSecureContext({ ca: [...authorities], ...(cert && key ? { cert, key } : {}) });
    return { secureContext, rejectUnauthorized: options.tlsVerify ?? true };
  } catch (cause) {
    const files = [clientCert, clientKey, ...caFiles].filter((path) => path !== undefined).join(', ');
    throw new KitError('CONFIG_INVALID', `The certificates cannot be used: ${files}`, {
      hint: 'they must be PEM files, and the key must belong to the certificate and have no passphrase',
      cause,
    });
  }
}

async function readPem(path: string | undefined): Promise<string | undefined> {
  if (path === undefined) return undefined;
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    throw new KitError('CONFIG_INVALID', `${path}: the certificate or key cannot be read`, { cause });
  }
  if (!text.includes('-----BEGIN ')) throw new KitError('CONFIG_INVALID', `${path}: not a PEM file`);
  return text;
}
