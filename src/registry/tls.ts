import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { SecureContext } from 'node:tls';
import { homeDirectory } from '../home-directory.ts';
import { isDockerHub } from './credential.ts';
import { KitError } from '../errors.ts';
import type { NetworkOptions } from './options.ts';
import { type RegistrySettings, settingsForUrl } from './settings.ts';

export interface TlsSettings {
  readonly secureContext: SecureContext;
  readonly rejectUnauthorized: boolean;
}

interface PemFiles {
  readonly authorities: readonly string[];
  readonly cert: string | undefined;
  readonly key: string | undefined;
}

/**
 * TLS settings by host: one context for all hosts of which nothing special is known, as parsing the authorities anew for each would cost
 * milliseconds every time.
 */
export class HostTls {
  readonly #options: NetworkOptions;
  readonly #byHost = new Map<string, Promise<TlsSettings>>();
  #ordinary: Promise<TlsSettings> | undefined;

  constructor(options: NetworkOptions) {
    this.#options = options;
  }

  /** @throws KitError CONFIG_INVALID when a PEM file cannot be used */
  async for(url: URL): Promise<TlsSettings> {
    let made = this.#byHost.get(url.host);
    if (made === undefined) {
      made = this.#make(url);
      this.#byHost.set(url.host, made);
    }
    return await made;
  }

  async #make(url: URL): Promise<TlsSettings> {
    const settings = settingsForUrl(this.#options.registries, url);
    const found = await certsFor(url, this.#options.env ?? {});
    if (settings !== undefined || found !== undefined) return await tlsSettings(this.#options, settings, found);
    this.#ordinary ??= tlsSettings(this.#options, undefined, undefined);
    return await this.#ordinary;
  }
}

/** What is said on the command line comes before what is configured, and that before what lies in a folder; authorities add up. */
async function tlsSettings(
  options: NetworkOptions,
  settings: RegistrySettings | undefined,
  found: PemFiles | undefined,
): Promise<TlsSettings> {
  const { cert, key } = clientFiles(options) ?? clientFiles(settings ?? {}) ?? { cert: found?.cert, key: found?.key };
  const files = [...(options.caFiles ?? []), ...(settings?.caFiles ?? []), ...(found?.authorities ?? [])];
  const [certPem, keyPem, ...own] = await Promise.all([readPem(cert), readPem(key), ...files.map(readPem)]);
  // loaded here: 10 ms that plain http does not need
  const { createSecureContext, getCACertificates } = process.getBuiltinModule('node:tls');
  const authorities = new Set([...getCACertificates('default'), ...getCACertificates('system'), ...own.filter((pem) => pem !== undefined)]);
  try {
    const secureContext = createSecureContext({ ca: [...authorities], ...(certPem && keyPem ? { cert: certPem, key: keyPem } : {}) });
    return { secureContext, rejectUnauthorized: options.tlsVerify ?? settings?.tlsVerify ?? true };
  } catch (cause) {
    const named = [cert, key, ...files].filter((path) => path !== undefined).join(', ');
    throw new KitError('CONFIG_INVALID', `The certificates cannot be used: ${named}`, {
      hint: 'they must be PEM files, and the key must belong to the certificate and have no passphrase',
      cause,
    });
  }
}

function clientFiles({
  clientCert,
  clientKey,
}: Pick<NetworkOptions, 'clientCert' | 'clientKey'>): Pick<PemFiles, 'cert' | 'key'> | undefined {
  if (clientCert === undefined && clientKey === undefined) return undefined;
  if (clientCert === undefined || clientKey === undefined) {
    const [given, missing] = clientCert === undefined ? ['key', 'certificate'] : ['certificate', 'key'];
    throw new KitError('CONFIG_INVALID', `A client ${given} needs its ${missing}`, { hint: 'give both `--cert` and `--key`' });
  }
  return { cert: clientCert, key: clientKey };
}

/**
 * What docker, podman and skopeo use for a host (containers-certs.d(5)): `*.crt` are authorities, `NAME.cert` with `NAME.key` is a client
 * certificate. The first folder that exists counts.
 */
async function certsFor(url: URL, env: Readonly<Record<string, string | undefined>>): Promise<PemFiles | undefined> {
  const home = homeDirectory(env);
  const roots = [join(home, '.config', 'containers', 'certs.d'), '/etc/containers/certs.d', '/etc/docker/certs.d'];
  const names = isDockerHub(url.hostname) ? ['docker.io', url.host] : [url.host, ...(url.port === '' ? [`${url.hostname}:443`] : [])];
  for (const folder of roots.flatMap((root) => names.map((name) => join(root, name)))) {
    // missing, or not for us to read
    const entries = await readdir(folder).catch(() => undefined);
    if (entries === undefined) continue;
    const sorted = entries.toSorted();
    const cert = sorted.find((entry) => entry.endsWith('.cert') && sorted.includes(entry.replace(/cert$/, 'key')));
    return {
      authorities: sorted.filter((entry) => entry.endsWith('.crt')).map((entry) => join(folder, entry)),
      cert: cert === undefined ? undefined : join(folder, cert),
      key: cert === undefined ? undefined : join(folder, cert.replace(/cert$/, 'key')),
    };
  }
  return undefined;
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
