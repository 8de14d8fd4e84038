import { isDockerHub } from './credential.ts';

/** What is configured for registries; what is not given stays as the table of hosts, or the command line, has it. */
export interface RegistrySettings {
  /** `HOST[:PORT]`, or `*.DOMAIN` for every host below it. */
  readonly host: string;
  readonly plainHttp?: boolean | undefined;
  /** False accepts any certificate. */
  readonly tlsVerify?: boolean | undefined;
  /** PEM files with authorities to trust besides the system's. */
  readonly caFiles?: readonly string[] | undefined;
  readonly clientCert?: string | undefined;
  readonly clientKey?: string | undefined;
  /** URL, or `none` to go straight there. */
  readonly proxy?: string | undefined;
  /** Bytes of an upload chunk; `never` for one request a blob, whatever its size. */
  readonly chunkSize?: number | 'never' | undefined;
  /** Bytes that one layer may have; `none` where the table is wrong. */
  readonly maxLayerBytes?: number | 'none' | undefined;
  readonly referrers?: 'api' | 'tag' | undefined;
  /** Whether the registry's API deletes. */
  readonly deletion?: boolean | undefined;
}

/** The settings for the first of `names` (host names of one registry) that any has: an exact host before a wildcard, then the longest. */
export function settingsFor(all: readonly RegistrySettings[] | undefined, ...names: readonly string[]): RegistrySettings | undefined {
  let best: RegistrySettings | undefined;
  for (const name of names) {
    for (const settings of all ?? []) {
      if (matchesHost(settings.host, name) && (best === undefined || rank(settings.host) > rank(best.host))) best = settings;
    }
  }
  return best;
}

/** Settings for the host that `url` goes to. */
export function settingsForUrl(all: readonly RegistrySettings[] | undefined, url: URL): RegistrySettings | undefined {
  if (all === undefined || all.length === 0) return undefined;
  const port = url.port || (url.protocol === 'https:' ? '443' : '80');
  return settingsFor(all, url.host, `${url.hostname}:${port}`);
}

/** @param pattern `HOST[:PORT]` or `*.DOMAIN[:PORT]` */
export function matchesHost(pattern: string, host: string): boolean {
  const [wanted, name] = [pattern.toLowerCase(), host.toLowerCase()];
  if (wanted.startsWith('*.')) return name.length > wanted.length - 1 && name.endsWith(wanted.slice(1));
  return wanted === name || (isDockerHub(wanted) && isDockerHub(name));
}

function rank(pattern: string): number {
  return pattern.startsWith('*.') ? pattern.length : 1000 + pattern.length;
}
