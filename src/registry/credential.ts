/** What a registry or its token service is told. One of the three shapes, as in Docker's configuration. */
export type Credential =
  | { readonly username: string; readonly password: string }
  /** Traded for access tokens at the token service. */
  | { readonly identityToken: string }
  /** Sent as bearer token as it is. */
  | { readonly registryToken: string };

/** Docker Hub's key in configuration files and helpers; every other registry is keyed by its host. */
const DOCKER_HUB_KEY = 'https://index.docker.io/v1/';

const DOCKER_HUB_HOSTS: ReadonlySet<string> = new Set(['docker.io', 'index.docker.io', 'registry-1.docker.io']);

export function isDockerHub(host: string): boolean {
  return DOCKER_HUB_HOSTS.has(host);
}

/** The key of `registry` in `auths` and its server address for credential helpers. */
export function credentialKey(registry: string): string {
  return isDockerHub(registry) ? DOCKER_HUB_KEY : registry;
}
