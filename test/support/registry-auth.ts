import { randomUUID } from 'node:crypto';
import type { Exchange } from './registry.ts';
import { fail, sendJson } from './registry-reply.ts';

interface BasicAuth {
  readonly type: 'basic';
  readonly username: string;
  readonly password: string;
}

export interface BearerAuth {
  readonly type: 'bearer';
  readonly username?: string;
  readonly password?: string;
  /** Taken by POST grant_type=refresh_token. */
  readonly refreshToken?: string;
  /** True: tokens without credentials allow pull. */
  readonly anonymousPull?: boolean;
  /** Seconds, as told to the client; `revokeTokens` ends a token for real. */
  readonly expiresIn?: number;
  /** Where tokens are had: here, at the second origin, or at a URL of the test's choice. */
  readonly realm?: 'own' | 'foreign' | `${string}://${string}`;
}

export type RegistryAuthOptions = BasicAuth | BearerAuth;

/** Basic and bearer authentication as registries do it (distribution token spec). */
export class RegistryAuth {
  readonly #options: RegistryAuthOptions | undefined;
  readonly #tokens = new Map<string, readonly string[]>();

  constructor(options: RegistryAuthOptions | undefined) {
    this.#options = options;
  }

  /** Every token handed out so far stops working. */
  revokeTokens(): void {
    this.#tokens.clear();
  }

  /** True when the request may go on; otherwise it has been answered with 401 and a challenge. */
  admit(exchange: Exchange, scopes: readonly string[]): boolean {
    const auth = this.#options;
    if (auth === undefined) return true;
    const authorization = exchange.request.headers.authorization ?? '';
    if (auth.type === 'basic') {
      if (authorization === basic(auth)) return true;
      fail(exchange.response, 401, 'UNAUTHORIZED', 'authentication required', { 'WWW-Authenticate': 'Basic realm="test registry"' });
      return false;
    }
    const granted = this.#tokens.get(authorization.replace(/^Bearer /, ''));
    if (granted !== undefined && scopes.every((scope) => isGranted(scope, granted))) return true;
    const error = granted === undefined ? '' : ',error="insufficient_scope"';
    const scope = scopes.length === 0 ? '' : `,scope="${scopes.join(' ')}"`;
    fail(exchange.response, 401, 'UNAUTHORIZED', 'authentication required', {
      'WWW-Authenticate': `Bearer realm="${this.#realm(exchange, auth)}",service="test registry"${scope}${error}`,
    });
    return false;
  }

  async serveToken(exchange: Exchange): Promise<void> {
    const auth = this.#options;
    if (auth?.type !== 'bearer') return fail(exchange.response, 404, 'NOT_FOUND', 'no token service');
    const form = exchange.entry.method === 'POST' ? new URLSearchParams(await readText(exchange)) : exchange.url.searchParams;
    const scopes = form.getAll('scope').flatMap((scope) => scope.split(' '));
    const known = this.#isKnown(exchange, auth, form);
    if (
      !known &&
      !(auth.anonymousPull === true && exchange.request.headers.authorization === undefined && exchange.entry.method === 'GET')
    ) {
      return fail(exchange.response, 401, 'UNAUTHORIZED', 'wrong user name or password');
    }
    const token = randomUUID();
    this.#tokens.set(token, known ? scopes : scopes.map((scope) => scope.replace(/:[^:]*$/, ':pull')));
    sendJson(exchange.response, 200, { token, access_token: token, expires_in: auth.expiresIn ?? 300 });
  }

  #isKnown({ request }: Exchange, auth: BearerAuth, form: URLSearchParams): boolean {
    if (form.get('grant_type') === 'refresh_token')
      return auth.refreshToken !== undefined && form.get('refresh_token') === auth.refreshToken;
    if (auth.username === undefined || auth.password === undefined) return false;
    return request.headers.authorization === basic({ username: auth.username, password: auth.password });
  }

  #realm({ registry }: Exchange, auth: BearerAuth): string {
    if (auth.realm === undefined || auth.realm === 'own') return `${registry.url}/token`;
    return auth.realm === 'foreign' ? `${registry.foreignUrl}/token` : auth.realm;
  }
}

function basic({ username, password }: { username: string; password: string }): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}

function isGranted(scope: string, granted: readonly string[]): boolean {
  const cut = scope.lastIndexOf(':');
  const [resource, action] = [scope.slice(0, cut), scope.slice(cut + 1)];
  return granted.some((grant) => {
    const at = grant.lastIndexOf(':');
    return (
      grant.slice(0, at) === resource &&
      grant
        .slice(at + 1)
        .split(',')
        .includes(action)
    );
  });
}

async function readText({ request }: Exchange): Promise<string> {
  let text = '';
  for await (const chunk of request) text += String(chunk);
  return text;
}
