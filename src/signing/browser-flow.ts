import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { KitError } from '../errors.ts';
import { plainText } from '../registry/redact.ts';
import { parseIdentityToken } from './identity-token.ts';
import { authorizationUrl, discover, type OpenIdOptions, requestToken } from './open-id.ts';

const PATH = '/auth/callback';
const PATIENCE_MS = 5 * 60_000;

/** Shows a URL to the user. Failing is no error: they have been told where to go. */
export type OpenBrowser = (url: string) => void;

/**
 * An identity token by the login page of the provider, which sends the browser back to a port of this machine (authorization code with
 * PKCE, RFC 8252). @throws KitError IDENTITY_FAILED | SERVICE_FAILED | NETWORK
 */
export async function browserToken(options: OpenIdOptions, openBrowser: OpenBrowser = startBrowser): Promise<string> {
  const { signal, tell, issuer } = options;
  const session = await discover(options);
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    const redirect = `http://localhost:${(server.address() as AddressInfo).port}${PATH}`;
    const [state, nonce] = [randomBytes(24).toString('base64url'), randomBytes(24).toString('base64url')];
    const url = authorizationUrl(session, { redirect_uri: redirect, state, nonce }).href;
    tell(`log in to sign: a browser opens, or go to ${url}`);
    const patience = AbortSignal.timeout(PATIENCE_MS);
    const code = receiveCode(server, state, signal === undefined ? patience : AbortSignal.any([signal, patience]));
    openBrowser(url);
    const reply = await requestToken(session, { grant_type: 'authorization_code', code: await code, redirect_uri: redirect }, signal);
    if ('error' in reply) throw new KitError('IDENTITY_FAILED', `${issuer} gave no identity token: ${reply.description}`);
    requireNonce(reply.token, nonce, issuer);
    return reply.token;
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

/** The code that the browser brings back; a request without our `state` is not the one that was started here. */
async function receiveCode(server: Server, state: string, signal: AbortSignal): Promise<string> {
  return await new Promise<string>((resolve, reject) => {
    const give = (error: unknown): void => reject(error instanceof Error ? error : new Error(String(error)));
    signal.addEventListener('abort', () => {
      const isTimeout = (signal.reason as Error).name === 'TimeoutError';
      give(
        isTimeout
          ? new KitError('IDENTITY_FAILED', `nobody logged in within ${PATIENCE_MS / 60_000} minutes`, {
              hint: 'run the command again, or use `--oidc-flow device`',
            })
          : signal.reason,
      );
    });
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      const { pathname, searchParams: query } = new URL(request.url ?? '/', 'http://localhost');
      const answer = (status: number, text: string): void => {
        response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', connection: 'close' }).end(`${text}\n`);
      };
      if (pathname !== PATH || query.get('state') !== state) {
        answer(404, 'nothing is here');
        return;
      }
      const code = query.get('code');
      if (code === null) {
        answer(200, 'The login failed. You can close this window.');
        give(
          new KitError(
            'IDENTITY_FAILED',
            `the login failed: ${plainText(query.get('error_description') ?? query.get('error') ?? 'no reason is given')}`,
          ),
        );
        return;
      }
      answer(200, 'You are logged in, and the signature is being made. You can close this window.');
      resolve(code);
    });
  });
}

/** The token must be the answer to this login, not one from elsewhere. */
function requireNonce(token: string, nonce: string, issuer: string): void {
  parseIdentityToken(token, issuer);
  const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8')) as { nonce?: unknown };
  if (claims.nonce !== nonce) throw new KitError('IDENTITY_FAILED', `the identity token of ${issuer} is not for this login`);
}

function startBrowser(url: string): void {
  const [program, ...args] =
    process.platform === 'darwin' ? ['open'] : process.platform === 'win32' ? ['rundll32', 'url.dll,FileProtocolHandler'] : ['xdg-open'];
  const child = spawn(program ?? '', [...args, url], { stdio: 'ignore', detached: true });
  child.on('error', () => {});
  child.unref();
}
