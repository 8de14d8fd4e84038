import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as z from 'zod';
import { homeDirectory } from '../home-directory.ts';
import { KitError } from '../errors.ts';
import { askService, replyJson } from './ask-service.ts';
import type { Environment } from './key-file.ts';
import type { KeyService } from './key-service.ts';

const WHAT = 'the key service';
const keySchema = z.object({
  data: z.looseObject({
    type: z.string(),
    latest_version: z.int(),
    keys: z.record(z.string(), z.union([z.looseObject({ public_key: z.string() }), z.number()])),
  }),
});
const signatureSchema = z.object({ data: z.looseObject({ signature: z.string().regex(/^vault:v\d+:[A-Za-z0-9+/=]+$/) }) });

/**
 * A key of the transit engine of HashiCorp Vault or OpenBao, by its latest version. Address and token come from the variables that their
 * own programs read: VAULT_ADDR, VAULT_TOKEN (or ~/.vault-token), VAULT_NAMESPACE, or the same with BAO_; TRANSIT_SECRET_ENGINE_PATH as in
 * cosign. @throws KitError CONFIG_INVALID without an address or token
 */
export function vaultKey(key: string, name: string, env: Environment): KeyService {
  if (!/^[\w.-]+$/.test(key))
    throw new KitError('CONFIG_INVALID', `${name} does not name a key of the transit engine`, { hint: 'write it as hashivault://KEY' });
  const of = (suffix: string): string | undefined =>
    (name.startsWith('openbao') ? env[`BAO_${suffix}`] : undefined) || env[`VAULT_${suffix}`] || env[`BAO_${suffix}`] || undefined;
  const address = of('ADDR');
  const token = of('TOKEN') ?? storedToken(env);
  if (address === undefined || !URL.canParse(address)) {
    throw new KitError('CONFIG_INVALID', `${name}: $VAULT_ADDR (or $BAO_ADDR) is ${address === undefined ? 'not set' : 'no URL'}`, {
      hint: 'set it to the address of the server, such as https://vault.example.com:8200',
    });
  }
  if (token === undefined)
    throw new KitError('CONFIG_INVALID', `${name}: there is no token for ${address}`, {
      hint: 'log in (`vault login`), or set $VAULT_TOKEN',
    });
  const namespace = of('NAMESPACE');
  const headers = { 'x-vault-token': token, 'x-vault-request': 'true', ...(namespace !== undefined && { 'x-vault-namespace': namespace }) };
  const engine = (env['TRANSIT_SECRET_ENGINE_PATH'] || 'transit').replaceAll(/^\/+|\/+$/g, '');
  const url = (action: string): URL => new URL(`${address.replace(/\/$/, '')}/v1/${engine}/${action}`);
  const read = async (): Promise<z.infer<typeof keySchema>['data']> => {
    const where = url(`keys/${key}`);
    return parse(keySchema, replyJson(await askService(where, WHAT, { headers }), where, WHAT), name).data;
  };
  let type: Promise<string> | undefined;
  return {
    publicKey: async () => {
      const { keys, latest_version: latest } = await read();
      const version = keys[String(latest)];
      if (typeof version === 'object') return version.public_key;
      throw new KitError('CONFIG_INVALID', `${name} is a key for encryption, not for signing`, { hint: 'make one of type ecdsa-p256' });
    },
    sign: async (data) => {
      // a key for something else is told apart before it is used
      const isRsa = (await (type ??= read().then((found) => found.type))).startsWith('rsa');
      const where = url(`sign/${key}/sha2-256`);
      const body = {
        input: createHash('sha256').update(data).digest('base64'),
        prehashed: true,
        ...(isRsa ? { signature_algorithm: 'pkcs1v15' } : { marshaling_algorithm: 'asn1' }),
      };
      const reply = await askService(where, WHAT, {
        method: 'POST',
        headers: { ...headers, 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
      const { signature } = parse(signatureSchema, replyJson(reply, where, WHAT), name).data;
      return Buffer.from(signature.replace(/^vault:v\d+:/, ''), 'base64');
    },
  };
}

/** What `vault login` leaves. */
function storedToken(env: Environment): string | undefined {
  try {
    return readFileSync(join(homeDirectory(env), '.vault-token'), 'utf8').trim() || undefined;
  } catch {
    return undefined;
  }
}

function parse<T>(schema: z.ZodType<T>, value: unknown, name: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw new KitError('SERVICE_FAILED', `${name}: the key service answered with something else than a key or signature`);
}
