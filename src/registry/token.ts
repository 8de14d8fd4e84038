import { KitError } from '../errors.ts';
import { readHead, readLimited } from './body.ts';
import type { Challenge } from './challenge.ts';
import type { Credential } from './credential.ts';
import type { Endpoint } from './endpoint.ts';
import { registryFailure } from './failure.ts';
import { parseObject } from './json-object.ts';
import { leadsInside } from './location.ts';
import { redactUrl } from './redact.ts';
import type { Transport, TransportRequest } from './transport.ts';

export interface Token {
  readonly value: string;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
}

export interface TokenRequest {
  readonly endpoint: Endpoint;
  readonly challenge: Challenge;
  readonly scopes: readonly string[];
  readonly credential: Credential | undefined;
}

const MAX_ANSWER_BYTES = 1024 * 1024;
/** What the token specification assumes when the answer does not say. */
const DEFAULT_SECONDS = 60;
const CLIENT_ID = 'ocikit';

/**
 * Gets a bearer token as the distribution spec's token authentication does: GET with Basic credentials or without,
 * POST with an identity token. Redirects are not followed: they would carry the credentials away.
 * @throws KitError UNAUTHORIZED when the service refuses, REGISTRY_ERROR when it breaks the protocol
 */
export async function requestToken(transport: Transport, request: TokenRequest): Promise<Token> {
  const { endpoint, credential } = request;
  const realm = realmOf(request);
  const isRefresh = credential !== undefined && 'identityToken' in credential;
  const message = isRefresh ? refresh(realm, request, credential) : get(realm, request, credential);
  const response = await transport.send(message);
  if (response.status === 200) return parseToken(await readLimited(response.body, MAX_ANSWER_BYTES, redactUrl(realm)), realm);
  if (response.status === 400 || response.status === 401 || response.status === 403) {
    await readHead(response.body, 1);
    throw refused(request, `${message.method} ${redactUrl(realm)}: ${response.status}`);
  }
  const subject = { kind: 'registry', name: endpoint.registry } as const;
  throw await registryFailure(
    { method: message.method, url: realm, subject, endpoint, isAuthenticated: credential !== undefined },
    response,
  );
}

function realmOf({ endpoint, challenge }: TokenRequest): URL {
  const text = challenge.parameters.get('realm') ?? '';
  const realm = URL.parse(text);
  if (realm === null || !/^https?:$/.test(realm.protocol) || realm.username !== '' || realm.password !== '') {
    throw new KitError('REGISTRY_ERROR', `${endpoint.registry}: the registry names no token service that can be asked`);
  }
  if (endpoint.isSecure && realm.protocol !== 'https:') {
    throw new KitError('REGISTRY_ERROR', `${endpoint.registry}: the registry names a token service without TLS (${redactUrl(realm)})`, {
      hint: 'credentials are not sent there; the registry has to be set up with an https token service',
    });
  }
  if (leadsInside(realm, endpoint)) {
    throw new KitError(
      'REGISTRY_ERROR',
      `${endpoint.registry}: the registry names a token service on a private address (${redactUrl(realm)})`,
    );
  }
  return realm;
}

function get(realm: URL, { challenge, scopes }: TokenRequest, credential: Credential | undefined): TransportRequest {
  const url = new URL(realm);
  const service = challenge.parameters.get('service');
  if (service !== undefined) url.searchParams.set('service', service);
  for (const scope of scopes) url.searchParams.append('scope', scope);
  const isNamed = credential !== undefined && 'username' in credential;
  return { method: 'GET', url, headers: isNamed ? { authorization: basicAuthorization(credential) } : {} };
}

function refresh(url: URL, { challenge, scopes }: TokenRequest, { identityToken }: { identityToken: string }): TransportRequest {
  const form = new URLSearchParams({ grant_type: 'refresh_token', client_id: CLIENT_ID, refresh_token: identityToken });
  const service = challenge.parameters.get('service');
  if (service !== undefined) form.set('service', service);
  if (scopes.length > 0) form.set('scope', scopes.join(' '));
  const body = Buffer.from(form.toString());
  return { method: 'POST', url, headers: { 'content-type': 'application/x-www-form-urlencoded' }, body };
}

export function basicAuthorization({ username, password }: { username: string; password: string }): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}

function parseToken(body: Buffer, realm: URL): Token {
  const { token, access_token: accessToken, expires_in: seconds } = parseObject(body.toString('utf8')) ?? {};
  const value = isFilled(token) ? token : accessToken;
  // a line break would end the header that carries it
  if (!isFilled(value) || /[^\u0021-\u007e]/.test(value))
    throw new KitError('REGISTRY_ERROR', `${redactUrl(realm)}: the token service answers without a token`);
  const lifetime = typeof seconds === 'number' && seconds >= 0 ? seconds : DEFAULT_SECONDS;
  // renewed a little early: the registry's clock decides
  return { value, expiresAt: Date.now() + lifetime * 800 };
}

function isFilled(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}

function refused({ endpoint, credential }: TokenRequest, exchange: string): KitError {
  const what = credential === undefined ? 'wants credentials' : 'refuses the credentials';
  return new KitError('UNAUTHORIZED', `${endpoint.registry}: the token service ${what} (${exchange})`, {
    hint: `log in with \`kit login ${endpoint.registry}\``,
  });
}
