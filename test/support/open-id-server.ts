import { createHash, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { json, text } from 'node:stream/consumers';
import type { AddressInfo } from 'node:net';

/** An OpenID Connect provider that believes everybody: discovery, keys, the login page, device codes. */
export interface OpenIdServer {
  /** `http://localhost:PORT` */
  readonly issuer: string;
  /** A token for the audience `sigstore`; `claims` replaces what it says. */
  token(claims?: Readonly<Record<string, unknown>>): string;
  /** How often the device flow is told to wait: first `slow_down`, then `authorization_pending`. */
  pending: number;
  /** Of what was asked. */
  readonly requests: string[];
  close(): Promise<void>;
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

export async function startOpenIdServer(email = 'dev@example.com'): Promise<OpenIdServer> {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const kid = randomBytes(8).toString('hex');
  const logins = new Map<string, { readonly nonce: string; readonly challenge: string }>();
  const server = createServer((request, response) => void handle(request, response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const issuer = `http://localhost:${(server.address() as AddressInfo).port}`;

  const token: OpenIdServer['token'] = (claims = {}) => {
    const now = Math.floor(Date.now() / 1000);
    const base = { iss: issuer, sub: 'user-1', aud: 'sigstore', iat: now, exp: now + 600, email, email_verified: true };
    const head = `${encode({ alg: 'RS256', typ: 'JWT', kid })}.${encode({ ...base, ...claims })}`;
    return `${head}.${sign('sha256', Buffer.from(head), privateKey).toString('base64url')}`;
  };

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams: query } = new URL(request.url ?? '/', issuer);
    provider.requests.push(`${request.method} ${pathname}`);
    const reply = (value: object, status = 200): void => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
    };
    switch (pathname) {
      case '/.well-known/openid-configuration':
        reply({
          issuer,
          authorization_endpoint: `${issuer}/auth`,
          token_endpoint: `${issuer}/token`,
          device_authorization_endpoint: `${issuer}/device`,
          jwks_uri: `${issuer}/keys`,
          response_types_supported: ['code'],
          subject_types_supported: ['public'],
          id_token_signing_alg_values_supported: ['RS256'],
        });
        return;
      case '/keys':
        reply({ keys: [{ ...publicKey.export({ format: 'jwk' }), kid, alg: 'RS256', use: 'sig' }] });
        return;
      case '/auth': {
        const code = randomBytes(8).toString('hex');
        logins.set(code, { nonce: query.get('nonce') ?? '', challenge: query.get('code_challenge') ?? '' });
        const back = new URL(query.get('redirect_uri') ?? '');
        back.search = new URLSearchParams({ code, state: query.get('state') ?? '' }).toString();
        response.writeHead(302, { location: back.href }).end();
        return;
      }
      case '/device': {
        const code = randomBytes(8).toString('hex');
        logins.set(code, { nonce: '', challenge: new URLSearchParams(await text(request)).get('code_challenge') ?? '' });
        reply({ device_code: code, user_code: 'ABCD-EFGH', verification_uri: `${issuer}/enter`, expires_in: 300, interval: 0.01 });
        return;
      }
      case '/token': {
        const form = new URLSearchParams(await text(request));
        const login = logins.get(form.get('code') ?? form.get('device_code') ?? '');
        const challenge = createHash('sha256')
          .update(form.get('code_verifier') ?? '')
          .digest('base64url');
        if (login === undefined || login.challenge !== challenge)
          reply({ error: 'invalid_grant', error_description: 'no such login' }, 400);
        else if (provider.pending > 0) {
          provider.pending -= 1;
          reply({ error: 'authorization_pending' }, 400);
        } else reply({ id_token: token({ nonce: login.nonce }), access_token: 'x', token_type: 'bearer' });
        return;
      }
      default:
        await json(request).catch(() => undefined);
        reply({ error: 'not found' }, 404);
    }
  }

  const provider: OpenIdServer = {
    issuer,
    token,
    pending: 0,
    requests: [],
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  return provider;
}
