import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { KitError } from '../errors.ts';
import { askService, replyJson } from './ask-service.ts';
import type { Environment } from './key-file.ts';

/** What certificate authorities of sigstore want to see as the audience of a token. */
export const AUDIENCE = 'sigstore';

/** A token with the name of where it comes from. */
export interface FoundToken {
  readonly token: string;
  readonly source: string;
}

/**
 * The identity of the CI job that this runs in: `SIGSTORE_ID_TOKEN` (GitLab sets it), GitHub Actions, Buildkite. Undefined elsewhere.
 * @throws KitError IDENTITY_FAILED when there should be one and cannot be had
 */
export async function ambientToken(env: Environment, signal?: AbortSignal): Promise<FoundToken | undefined> {
  const given = env['SIGSTORE_ID_TOKEN'];
  if (given) return { token: given, source: '$SIGSTORE_ID_TOKEN' };
  const { ACTIONS_ID_TOKEN_REQUEST_URL: requestUrl, ACTIONS_ID_TOKEN_REQUEST_TOKEN: requestToken } = env;
  if (requestUrl && requestToken) return await gitHubToken(requestUrl, requestToken, signal);
  if (env['GITHUB_ACTIONS'] === 'true') {
    throw new KitError('IDENTITY_FAILED', 'this GitHub Actions job may not ask for an identity token', {
      hint: 'give it `permissions: id-token: write`',
    });
  }
  return env['BUILDKITE'] === 'true' ? await buildkiteToken(env, signal) : undefined;
}

async function gitHubToken(requestUrl: string, requestToken: string, signal: AbortSignal | undefined): Promise<FoundToken> {
  const source = 'GitHub Actions';
  const url = new URL(requestUrl);
  url.searchParams.set('audience', AUDIENCE);
  const reply = await askService(url, source, {
    headers: { accept: 'application/json', authorization: `Bearer ${requestToken}` },
    signal,
  });
  const { value } = replyJson(reply, url, source) as { value?: unknown };
  if (typeof value !== 'string') throw new KitError('IDENTITY_FAILED', 'GitHub Actions answered without an identity token');
  return { token: value, source };
}

async function buildkiteToken(env: Environment, signal: AbortSignal | undefined): Promise<FoundToken> {
  const args = ['oidc', 'request-token', '--audience', AUDIENCE];
  try {
    const { stdout } = await promisify(execFile)('buildkite-agent', args, { env: { ...env }, signal, timeout: 60_000 });
    return { token: stdout, source: 'buildkite-agent' };
  } catch (error) {
    signal?.throwIfAborted();
    // its output may be the token
    const { code } = error as NodeJS.ErrnoException;
    throw new KitError('IDENTITY_FAILED', `\`buildkite-agent ${args.join(' ')}\` failed (${String(code)})`, {
      hint: 'run it by hand to see why',
    });
  }
}
