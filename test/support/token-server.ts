import { createPrivateKey, type KeyObject, randomUUID, sign, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Certificate } from './certificates.ts';

export const ISSUER = 'test issuer';
export const SERVICE = 'test registry';

/** What a user may do with each repository: `pull`, `push`, `delete`, or all. */
type Rights = Readonly<Record<string, readonly string[]>>;

export interface TokenServerOptions {
  /** Signs the tokens; the registry trusts this certificate. */
  readonly signer: Certificate;
  readonly users: Readonly<Record<string, { readonly password: string; readonly rights: Rights }>>;
  /** What anyone may do. */
  readonly anonymous?: Rights;
  /** How long a token lasts. */
  readonly seconds?: number;
}

interface TokenRequest {
  readonly method: string;
  /** Undefined for anyone. */
  readonly user: string | undefined;
  readonly grant: string | undefined;
  readonly scopes: readonly string[];
  readonly status: number;
}

export interface TokenServer {
  /** The realm. */
  readonly url: string;
  readonly service: TokenService;
  close(): Promise<void>;
}

interface Access {
  readonly type: string;
  readonly name: string;
  readonly actions: readonly string[];
}

export async function startTokenServer(options: TokenServerOptions): Promise<TokenServer> {
  const service = new TokenService(options);
  const http = createServer((request, response) => {
    service.serve(request, response).catch((error: unknown) => {
      send(response, 500, { error: String(error) });
    });
  });
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  return {
    url: `http://127.0.0.1:${(http.address() as AddressInfo).port}/token`,
    service,
    close: async () => {
      http.closeAllConnections();
      http.close();
      await once(http, 'close');
    },
  };
}

/**
 * The token service of distribution's documentation (token authentication, GET and the POST of OAuth2): tokens are JWTs that a registry
 * checks by itself. A refresh token is given where `offline_token` or `access_type=offline` asks for one.
 */
class TokenService {
  readonly requests: TokenRequest[] = [];
  /** How long the tokens to come last. */
  seconds: number;
  readonly #options: TokenServerOptions;
  readonly #key: KeyObject;
  /** The user of each refresh token. */
  readonly #refresh = new Map<string, string>();

  constructor(options: TokenServerOptions) {
    this.#options = options;
    this.#key = createPrivateKey(options.signer.key);
    this.seconds = options.seconds ?? 300;
  }

  async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const isPost = request.method === 'POST';
    const form = isPost ? await readForm(request) : new URL(request.url ?? '/', 'http://token.invalid').searchParams;
    const scopes = form.getAll('scope').flatMap((scope) => scope.split(' ').filter((one) => one !== ''));
    const user = isPost ? this.#userOfForm(form) : this.#userOfBasic(request.headers.authorization);
    const isRefused = user === false || form.get('service') !== SERVICE;
    const status = isRefused ? (isPost ? 400 : 401) : 200;
    this.requests.push({
      method: request.method ?? '',
      user: user || undefined,
      grant: form.get('grant_type') ?? undefined,
      scopes,
      status,
    });
    if (isRefused) send(response, status, isPost ? { error: 'invalid_grant' } : { errors: [{ code: 'UNAUTHORIZED', message: 'wrong' }] });
    else send(response, 200, this.#answer(user, form, scopes));
  }

  /** A refresh token for `user`, as an earlier login got one. */
  issueRefreshToken(user: string): string {
    const token = randomUUID();
    this.#refresh.set(token, user);
    return token;
  }

  #answer(user: string | undefined, form: URLSearchParams, scopes: readonly string[]): Record<string, unknown> {
    const token = this.#jwt(user, scopes);
    const isOffline = form.get('offline_token') === 'true' || form.get('access_type') === 'offline';
    return {
      token,
      access_token: token,
      // a clock that is behind the registry's: what lasts no time by its own lasts a minute by the answer
      expires_in: this.seconds > 0 ? this.seconds : 60,
      issued_at: new Date().toISOString(),
      ...(isOffline && user !== undefined && { refresh_token: this.issueRefreshToken(user) }),
    };
  }

  /** False: refused; undefined: anyone. */
  #userOfBasic(header: string | undefined): string | false | undefined {
    if (header === undefined) return undefined;
    const text = Buffer.from(header.replace(/^Basic /, ''), 'base64').toString();
    const cut = text.indexOf(':');
    return this.#checked(text.slice(0, cut), text.slice(cut + 1));
  }

  #userOfForm(form: URLSearchParams): string | false {
    if (form.get('client_id') === null) return false;
    if (form.get('grant_type') === 'refresh_token') return this.#refresh.get(form.get('refresh_token') ?? '') ?? false;
    return form.get('grant_type') === 'password' && this.#checked(form.get('username') ?? '', form.get('password') ?? '');
  }

  #checked(name: string, password: string): string | false {
    return this.#options.users[name]?.password === password ? name : false;
  }

  #jwt(user: string | undefined, scopes: readonly string[]): string {
    const { users, anonymous = {}, signer } = this.#options;
    const rights = user === undefined ? anonymous : (users[user]?.rights ?? {});
    const now = Math.floor(Date.now() / 1000);
    const access = scopes.map((scope) => granted(rights, scope)).filter(({ actions }) => actions.length > 0);
    const claims = {
      iss: ISSUER,
      sub: user ?? '',
      aud: SERVICE,
      exp: now + this.seconds,
      nbf: now - 5,
      iat: now,
      jti: randomUUID(),
      access,
    };
    return signJwt(this.#key, signer.cert, claims);
  }
}

async function readForm(request: IncomingMessage): Promise<URLSearchParams> {
  return new URLSearchParams(Buffer.concat(await Array.fromAsync(request as AsyncIterable<Buffer>)).toString());
}

function granted(rights: Rights, scope: string): Access {
  const [type = '', ...rest] = scope.split(':');
  const actions = (rest.pop() ?? '').split(',');
  const name = rest.join(':');
  return { type, name, actions: type === 'repository' ? actions.filter((action) => rights[name]?.includes(action)) : [] };
}

/** ES256 or RS256, as the key is; the certificate goes along (`x5c`), as the registry holds it for its root. */
function signJwt(key: KeyObject, certificate: string, claims: Readonly<Record<string, unknown>>): string {
  const alg = key.asymmetricKeyType === 'rsa' ? 'RS256' : 'ES256';
  const header = { typ: 'JWT', alg, x5c: [new X509Certificate(certificate).raw.toString('base64')] };
  const text = [header, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
  return `${text}.${sign('sha256', Buffer.from(text), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
}

function send(response: ServerResponse, status: number, body: unknown): void {
  const text = JSON.stringify(body);
  response.writeHead(status, { 'Content-Type': 'application/json', 'Content-Length': String(Buffer.byteLength(text)) }).end(text);
}
