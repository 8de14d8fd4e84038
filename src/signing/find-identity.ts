import { readFile } from 'node:fs/promises';
import { asPathError } from '../blobs/path-error.ts';
import { KitError } from '../errors.ts';
import { ambientToken } from './ambient-identity.ts';
import { type IdentityToken, parseIdentityToken } from './identity-token.ts';
import type { Environment } from './key-file.ts';
import type { OpenIdOptions } from './open-id.ts';

/** How a person says who they are: a browser here, or a code that is entered anywhere. */
export type OidcFlow = 'browser' | 'device';

export interface IdentitySource {
  /** With an identity token. */
  readonly file?: string | undefined;
  /** Undefined: nobody is asked. */
  readonly flow?: OidcFlow | undefined;
  /** Undefined where no provider is known. */
  readonly provider: OpenIdOptions | undefined;
  readonly env: Environment;
  readonly signal?: AbortSignal | undefined;
}

/** Where a job of CI gets its identity from. */
const AMBIENT = ['SIGSTORE_ID_TOKEN', 'ACTIONS_ID_TOKEN_REQUEST_URL', 'GITHUB_ACTIONS', 'BUILDKITE'];

/**
 * Who signs: the token in a file, that of the CI job (see `ambientToken`), or whoever logs in. That there is one is known before
 * anything else happens; it is asked for when it is needed, for it does not last long.
 * @throws KitError IDENTITY_FAILED, also from the function that it returns, with SERVICE_FAILED | NETWORK | PATH_NOT_FOUND
 */
export function identityFinder(source: IdentitySource): () => Promise<IdentityToken> {
  const { file, flow, provider, env } = source;
  const canLogin = flow !== undefined && provider !== undefined;
  if (file !== undefined || canLogin || AMBIENT.some((name) => env[name])) return async () => await findIdentity(source);
  throw new KitError('IDENTITY_FAILED', 'there is no identity to sign with: no key, no token, nobody to log in', {
    hint: 'give `--key`, `--identity-token FILE` or $SIGSTORE_ID_TOKEN, or log in elsewhere with `--oidc-flow device`',
  });
}

async function findIdentity({ file, flow, provider, env, signal }: IdentitySource): Promise<IdentityToken> {
  if (file !== undefined) {
    const text = await readFile(file, 'utf8').catch((error: unknown) => Promise.reject(asPathError(error, file)));
    return parseIdentityToken(text, file);
  }
  const found = await ambientToken(env, signal);
  if (found !== undefined) return parseIdentityToken(found.token, found.source);
  if (flow === undefined || provider === undefined) throw new KitError('IDENTITY_FAILED', 'this CI job has no identity');
  return parseIdentityToken(await login(flow, provider), provider.issuer);
}

async function login(flow: OidcFlow, provider: OpenIdOptions): Promise<string> {
  if (flow === 'device') {
    const { deviceToken } = await import('./device-flow.ts');
    return await deviceToken(provider);
  }
  const { browserToken } = await import('./browser-flow.ts');
  return await browserToken(provider);
}
