import { readFile } from 'node:fs/promises';
import { KitError } from '../errors.ts';
import { type Credential, credentialKey, isDockerHub } from './credential.ts';
import type { AuthEntry, DockerConfig } from './docker-config-fields.ts';

const HINT = 'repair the file, or delete it and log in again';

/** Undefined when there is no such file. @throws KitError CREDENTIALS_FAILED */
export async function readDockerConfig(path: string): Promise<DockerConfig | undefined> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw new KitError('CREDENTIALS_FAILED', `${path}: the credentials cannot be read`, { cause });
  }
  let value: unknown;
  try {
    value = text.trim() === '' ? {} : JSON.parse(text);
  } catch {
    // the parser's message would quote the file
    throw new KitError('CREDENTIALS_FAILED', `${path}: not a JSON file`, { hint: HINT });
  }
  // loaded where there is a file
  const { parseFields } = await import('./docker-config-fields.ts');
  return parseFields(value, (field) => {
    throw new KitError('CREDENTIALS_FAILED', `${path}: \`${field}\` is not as in Docker's config.json`, { hint: HINT });
  });
}

/** The credential of `registry` in `auths`. An empty entry only says that a credential store has it. */
export function credentialIn(config: DockerConfig, registry: string, path: string): Credential | undefined {
  const entry = findEntry(config.auths ?? {}, registry);
  if (entry === undefined) return undefined;
  if (entry.registrytoken) return { registryToken: entry.registrytoken };
  if (entry.identitytoken) return { identityToken: entry.identitytoken };
  if (entry.auth) return decodeAuth(entry.auth, registry, path);
  return entry.username && entry.password !== undefined ? { username: entry.username, password: entry.password } : undefined;
}

function findEntry(auths: Readonly<Record<string, AuthEntry | null>>, registry: string): AuthEntry | undefined {
  const key = credentialKey(registry);
  if (Object.hasOwn(auths, key)) return auths[key] ?? undefined;
  // older tools wrote URLs as keys
  const found = Object.keys(auths).find((candidate) => isSameRegistry(candidate, registry));
  return found === undefined ? undefined : (auths[found] ?? undefined);
}

/** True for keys such as `https://ghcr.io/v1/` of `ghcr.io`, and for the names of Docker Hub. */
export function isSameRegistry(key: string, registry: string): boolean {
  const host = key.replace(/^https?:\/\//, '').replace(/\/(?:v[12]\/?)?$/, '');
  return host === registry || (isDockerHub(host) && isDockerHub(registry));
}

function decodeAuth(auth: string, registry: string, path: string): Credential {
  const text = Buffer.from(auth, 'base64').toString('utf8');
  const colon = text.indexOf(':');
  if (colon < 1)
    throw new KitError('CREDENTIALS_FAILED', `${path}: the entry of ${registry} is not base64 of USER:PASSWORD`, { hint: HINT });
  const username = text.slice(0, colon);
  // Docker pads with NUL
  const password = text.slice(colon + 1).replace(/\0+$/, '');
  return username === '<token>' ? { identityToken: password } : { username, password };
}

/** The entry that Docker would write for `credential`. */
export function toAuthEntry(credential: Credential): AuthEntry {
  if ('registryToken' in credential) return { registrytoken: credential.registryToken };
  if ('identityToken' in credential) return { identitytoken: credential.identityToken };
  return { auth: Buffer.from(`${credential.username}:${credential.password}`).toString('base64') };
}
