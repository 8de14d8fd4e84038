import { randomUUID } from 'node:crypto';
import { mkdir, realpath, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { homeDirectory } from '../home-directory.ts';
import { KitError } from '../errors.ts';
import { type Credential, credentialKey } from './credential.ts';
import { credentialIn, isSameRegistry, readDockerConfig, toAuthEntry } from './docker-config.ts';
import type { DockerConfig } from './docker-config-fields.ts';
import type { NetworkOptions } from './options.ts';

export type CredentialOptions = Pick<NetworkOptions, 'credentials' | 'env' | 'home'> & { readonly signal?: AbortSignal | undefined };

/**
 * The credential for `registry` (`HOST[:PORT]`), from the first place that has one: `credentials`, kit's credentials.json,
 * Docker's config.json with its helpers, podman's auth.json.
 * @throws KitError CREDENTIALS_FAILED when a file is malformed or a helper fails
 */
export async function findCredential(registry: string, options: CredentialOptions): Promise<Credential | undefined> {
  const given = options.credentials ?? {};
  const name = Object.keys(given).find((key) => isSameRegistry(key, registry));
  if (name !== undefined) return given[name];
  for (const path of credentialFiles(options)) {
    const config = await readDockerConfig(path);
    const credential = config && (await credentialOf(config, registry, path, options));
    if (credential !== undefined) return credential;
  }
  return undefined;
}

async function credentialOf(
  config: DockerConfig,
  registry: string,
  path: string,
  options: CredentialOptions,
): Promise<Credential | undefined> {
  const helpers = config.credHelpers ?? {};
  const key = Object.keys(helpers).find((candidate) => isSameRegistry(candidate, registry));
  const helper = (key === undefined ? undefined : helpers[key]) || config.credsStore;
  if (helper) {
    const { askCredentialHelper } = await import('./credential-helper.ts');
    const credential = await askCredentialHelper(helper, registry, { env: options.env ?? {}, signal: options.signal });
    if (credential !== undefined) return credential;
  }
  return credentialIn(config, registry, path);
}

function credentialFiles({ env = {}, home }: CredentialOptions): string[] {
  const files: string[] = [];
  if (home !== undefined) files.push(credentialsPath(home));
  const docker = env['DOCKER_CONFIG'] || join(homeDirectory(env), '.docker');
  files.push(join(docker, 'config.json'));
  if (env['REGISTRY_AUTH_FILE']) files.push(env['REGISTRY_AUTH_FILE']);
  if (env['XDG_RUNTIME_DIR']) files.push(join(env['XDG_RUNTIME_DIR'], 'containers', 'auth.json'));
  return files;
}

function credentialsPath(home: string): string {
  return join(home, 'credentials.json');
}

/** Keeps `credential` in `<home>/credentials.json`, readable by the user only; other entries stay. @throws KitError CREDENTIALS_FAILED */
export async function saveCredential(home: string, registry: string, credential: Credential): Promise<void> {
  const path = credentialsPath(home);
  const config = (await readDockerConfig(path)) ?? {};
  const auths = withoutRegistry(config, registry);
  auths[credentialKey(registry)] = toAuthEntry(credential);
  await replaceFile(path, { ...config, auths });
}

/** False when there was none. @throws KitError CREDENTIALS_FAILED */
export async function deleteCredential(home: string, registry: string): Promise<boolean> {
  const path = credentialsPath(home);
  const config = await readDockerConfig(path);
  if (config === undefined) return false;
  const auths = withoutRegistry(config, registry);
  if (Object.keys(auths).length === Object.keys(config.auths ?? {}).length) return false;
  await replaceFile(path, { ...config, auths });
  return true;
}

function withoutRegistry(config: DockerConfig, registry: string): NonNullable<DockerConfig['auths']> {
  return Object.fromEntries(Object.entries(config.auths ?? {}).filter(([key]) => !isSameRegistry(key, registry)));
}

async function replaceFile(path: string, config: DockerConfig): Promise<void> {
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    // a linked file is replaced where it lies
    const target = await realpath(path).catch(() => path);
    const temporary = `${target}.${randomUUID()}`;
    try {
      await writeFile(temporary, `${JSON.stringify(config, null, 2)}\n`, { mode: 0o600, flag: 'wx', flush: true });
      await rename(temporary, target);
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
  } catch (cause) {
    throw new KitError('CREDENTIALS_FAILED', `${path}: the credentials cannot be written`, { cause });
  }
}
