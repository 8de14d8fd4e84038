import type { Environment } from './key-file.ts';
import { pluginKey } from './plugin-key.ts';
import { vaultKey } from './vault-key.ts';

/** A key that never leaves the service that holds it. */
export interface KeyService {
  /** SPKI as PEM. */
  publicKey(): Promise<string>;
  /** The signature over SHA-256 of `data`; DER for ECDSA. */
  sign(data: Uint8Array): Promise<Buffer>;
}

/**
 * The key service that a name such as `hashivault://KEY` speaks of; undefined for a file and for `env://`. Names are cosign's: Vault and
 * OpenBao are asked by HTTP, all others by the program `sigstore-kms-NAME`. @throws KitError CONFIG_INVALID
 */
export function openKeyService(name: string, env: Environment): KeyService | undefined {
  const [, scheme, rest = ''] = /^([a-z][a-z0-9-]*):\/\/(.*)$/s.exec(name) ?? [];
  if (scheme === undefined || scheme === 'env') return undefined;
  return scheme === 'hashivault' || scheme === 'openbao' ? vaultKey(rest, name, env) : pluginKey(scheme, name, env);
}
