import { KitError } from '../errors.ts';
import type { CallOptions } from '../events.ts';
import type { Credential } from '../registry/credential.ts';
import { deleteCredential, saveCredential } from '../registry/credentials.ts';
import { parseReference } from '../oci/reference.ts';
import type { Kit } from './kit.ts';

/** Without a username the password is an identity token. */
export interface LoginArguments {
  readonly registry: string;
  readonly username?: string;
  readonly password: string;
}

/** Checks the credentials against the registry, then saves them in kit's home. @throws KitError UNAUTHORIZED; nothing is saved then */
export async function login(kit: Kit, { registry, username, password }: LoginArguments, call: CallOptions = {}): Promise<void> {
  checkHost(registry);
  const credential: Credential = username === undefined || username === '' ? { identityToken: password } : { username, password };
  const { createRegistryClient } = await import('../registry/client.ts');
  const client = createRegistryClient({ ...(await kit.network()), credentials: { [registry]: credential } });
  try {
    await client.ping(registry, call);
  } finally {
    await client.close();
  }
  await saveCredential(kit.home, registry, credential);
}

/** Forgets the credentials of a registry. To have none is no error, as with docker and KitOps: a warning says so. */
export async function logout(kit: Kit, registry: string, { onEvent }: CallOptions = {}): Promise<void> {
  checkHost(registry);
  if (await deleteCredential(kit.home, registry)) return;
  const message = `kit had no credentials for ${registry}; those of docker are removed with \`docker logout\``;
  onEvent?.({ type: 'warning', code: 'NOT_LOGGED_IN', message });
}

function checkHost(registry: string): void {
  // the grammar of references knows what a host is
  const { registry: host } = parseReference(`${registry}/x`);
  if (host === undefined && !/^[a-z0-9-]+$/i.test(registry))
    throw new KitError('REFERENCE_INVALID', `\`${registry}\` is not a registry host`, { hint: 'a registry is HOST or HOST:PORT' });
}
