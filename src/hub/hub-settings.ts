import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { homeDirectory } from '../home-directory.ts';
import { KitError } from '../errors.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** How the Hugging Face hub is reached: what its own client reads of the environment. */
export interface HubSettings {
  /** Without a trailing slash. */
  readonly endpoint: string;
  readonly token: string | undefined;
  /** `HF_HUB_CACHE`: holds `models--ORG--NAME/blobs/ETAG`. */
  readonly cache: string;
}

/** HF_ENDPOINT, HF_TOKEN, HF_TOKEN_PATH, HF_HOME, HF_HUB_CACHE and their older names. @throws KitError CONFIG_INVALID */
export async function hubSettings(env: Environment, token?: string): Promise<HubSettings> {
  const home = env['HF_HOME'] || join(env['XDG_CACHE_HOME'] || join(homeDirectory(env), '.cache'), 'huggingface');
  const endpoint = (env['HF_ENDPOINT'] || 'https://huggingface.co').replace(/\/+$/, '');
  if (URL.parse(endpoint)?.protocol.startsWith('http') !== true)
    throw new KitError('CONFIG_INVALID', `HF_ENDPOINT is \`${endpoint}\`, which is no http URL`);
  const given = token || env['HF_TOKEN'] || env['HUGGING_FACE_HUB_TOKEN'] || (await storedToken(env, home));
  return {
    endpoint,
    token: given === undefined ? undefined : requireToken(given.trim()),
    cache: env['HF_HUB_CACHE'] || env['HUGGINGFACE_HUB_CACHE'] || join(home, 'hub'),
  };
}

async function storedToken(env: Environment, home: string): Promise<string | undefined> {
  // as its own client has it: a token that lies around is not sent unasked
  if (/^(?:1|true|yes|on)$/i.test(env['HF_HUB_DISABLE_IMPLICIT_TOKEN'] ?? '')) return undefined;
  const text = await readFile(env['HF_TOKEN_PATH'] || join(home, 'token'), 'utf8').catch(() => '');
  return text.trim() || undefined;
}

/** It goes into a header. @throws KitError CONFIG_INVALID */
function requireToken(token: string): string {
  if (/^[\u0021-\u007e]+$/.test(token)) return token;
  throw new KitError('CONFIG_INVALID', 'the Hugging Face token holds blanks or other characters that no token has', {
    hint: 'give it by `--token` or $HF_TOKEN as it was shown when it was made',
  });
}
