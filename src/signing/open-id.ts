import { createHash, randomBytes } from 'node:crypto';
import * as z from 'zod';
import { KitError } from '../errors.ts';
import { plainText } from '../registry/redact.ts';
import { askService, replyJson } from './ask-service.ts';
import { AUDIENCE } from './ambient-identity.ts';

const WHAT = 'the identity provider';
const discoverySchema = z.looseObject({
  issuer: z.string(),
  authorization_endpoint: z.url().optional(),
  token_endpoint: z.url(),
  device_authorization_endpoint: z.url().optional(),
});
const tokenSchema = z.looseObject({
  id_token: z.string().optional(),
  error: z.string().optional(),
  error_description: z.string().optional(),
});
const SCOPE = 'openid email';

export interface OpenIdOptions {
  readonly issuer: string;
  /** Default `sigstore`. */
  readonly clientId?: string | undefined;
  /** Says something to the user: where to go, which code to enter. */
  readonly tell: (message: string) => void;
  readonly signal?: AbortSignal | undefined;
}

/** What every flow needs to know of the provider, and its own secrets (PKCE, RFC 7636). */
export interface OpenIdSession {
  readonly endpoints: z.infer<typeof discoverySchema>;
  readonly clientId: string;
  readonly verifier: string;
  readonly challenge: Readonly<Record<string, string>>;
}

/** OpenID Connect discovery. @throws KitError SERVICE_FAILED | NETWORK | CONFIG_INVALID */
export async function discover({ issuer, clientId = AUDIENCE, signal }: OpenIdOptions): Promise<OpenIdSession> {
  if (!URL.canParse(issuer)) throw new KitError('CONFIG_INVALID', `the OpenID Connect issuer ${issuer} is no URL`);
  const url = new URL(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`);
  const { data } = discoverySchema.safeParse(replyJson(await askService(url, WHAT, { signal }), url, WHAT));
  // one that answers for another could hand out names that are not its own
  if (data?.issuer.replace(/\/$/, '') !== issuer.replace(/\/$/, ''))
    throw new KitError('SERVICE_FAILED', `${WHAT} at ${url.href} does not describe the issuer ${issuer}`);
  const verifier = randomBytes(32).toString('base64url');
  const challenge = { code_challenge: createHash('sha256').update(verifier).digest('base64url'), code_challenge_method: 'S256' };
  return { endpoints: data, clientId, verifier, challenge };
}

/** `application/x-www-form-urlencoded` to an endpoint of the provider; 400 carries an error of OAuth. */
export async function postForm(
  endpoint: string,
  form: Readonly<Record<string, string>>,
  signal: AbortSignal | undefined,
): Promise<unknown> {
  const url = new URL(endpoint);
  const reply = await askService(url, WHAT, {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded', accept: 'application/json' },
    body: new URLSearchParams(form).toString(),
    accept: [400, 401, 403],
    // a code can be exchanged once
    isRetried: false,
    signal,
  });
  return replyJson(reply, url, WHAT);
}

/** Asks the token endpoint. A text is the error that it answered with. @throws KitError SERVICE_FAILED */
export async function requestToken(
  { endpoints, clientId, verifier }: OpenIdSession,
  form: Readonly<Record<string, string>>,
  signal: AbortSignal | undefined,
): Promise<{ readonly token: string } | { readonly error: string; readonly description: string }> {
  const { data } = tokenSchema.safeParse(
    await postForm(endpoints.token_endpoint, { ...form, client_id: clientId, code_verifier: verifier }, signal),
  );
  if (data?.id_token !== undefined) return { token: data.id_token };
  return {
    error: data?.error ?? 'no token',
    description: plainText(data?.error_description ?? data?.error ?? 'it sent no identity token'),
  };
}

/** Where the user goes to say who they are. */
export function authorizationUrl({ endpoints, clientId, challenge }: OpenIdSession, form: Readonly<Record<string, string>>): URL {
  if (endpoints.authorization_endpoint === undefined) throw new KitError('SERVICE_FAILED', `${endpoints.issuer} has no login page`);
  const url = new URL(endpoints.authorization_endpoint);
  for (const [name, value] of Object.entries({ ...form, ...challenge, client_id: clientId, response_type: 'code', scope: SCOPE }))
    url.searchParams.set(name, value);
  return url;
}

/** Starts the device flow (RFC 8628). @throws KitError SERVICE_FAILED */
export async function startDevice({ endpoints, clientId, challenge }: OpenIdSession, signal: AbortSignal | undefined): Promise<unknown> {
  const endpoint = endpoints.device_authorization_endpoint;
  if (endpoint === undefined)
    throw new KitError('SERVICE_FAILED', `${endpoints.issuer} does not offer the device flow`, {
      hint: 'use `--oidc-flow browser`, or `--identity-token FILE`',
    });
  return await postForm(endpoint, { client_id: clientId, scope: SCOPE, ...challenge }, signal);
}
