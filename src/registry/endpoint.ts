import { KitError } from '../errors.ts';
import { isLoopbackHost } from './address.ts';
import { isDockerHub } from './credential.ts';
import { type HostRules, hostRules } from './host-rules.ts';
import type { RegistrySettings } from './settings.ts';

/** A registry: the name that users write and the origin that is asked. */
export interface Endpoint {
  readonly registry: string;
  /** `https://HOST[:PORT]`, without a trailing slash. */
  readonly origin: string;
  readonly hostname: string;
  readonly isSecure: boolean;
  readonly rules: HostRules;
  /** Sent with every request to the origin. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** The registry whose credentials it is given; its own unless told. */
  readonly credentials?: string | undefined;
}

/**
 * @param plainHttp unset: http for loopback hosts, https elsewhere
 * @param registry `HOST[:PORT]`; `docker.io` stands for registry-1.docker.io
 * @throws KitError REFERENCE_INVALID
 */
export function endpointOf(registry: string, plainHttp: boolean | undefined, settings?: RegistrySettings): Endpoint {
  const host = isDockerHub(registry) ? 'registry-1.docker.io' : registry;
  const url = URL.parse(`https://${host}`);
  if (url === null || url.href !== `https://${url.host}/` || host.endsWith('/')) {
    throw new KitError('REFERENCE_INVALID', `\`${registry}\` is not a registry host`, { hint: 'a registry is HOST or HOST:PORT' });
  }
  const isSecure = !(plainHttp ?? settings?.plainHttp ?? isLoopbackHost(url.hostname));
  // parsed again: `https://host:80` and `http://host:443` keep their port
  const origin = isSecure ? url.origin : new URL(`http://${host}`).origin;
  return { registry, origin, hostname: url.hostname, isSecure, rules: hostRules(registry, settings) };
}

/** The repository's path at the registry: Docker Hub keeps one-word names under `library/`. */
export function repositoryPath(registry: string, repository: string): string {
  return isDockerHub(registry) && !repository.includes('/') ? `library/${repository}` : repository;
}
