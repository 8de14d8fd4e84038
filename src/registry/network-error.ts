import { isKitError, KitError } from '../errors.ts';
import { redactUrl } from './redact.ts';
import { TransientError } from './transient.ts';

interface FailedRequest {
  readonly method: string;
  readonly url: URL;
  /** The origin has answered before. */
  readonly wasReached: boolean;
}

const BROKEN: ReadonlySet<string> = new Set([
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'EAI_AGAIN',
  'UND_ERR_SOCKET',
  'UND_ERR_CONNECT_TIMEOUT',
  'UND_ERR_HEADERS_TIMEOUT',
  'UND_ERR_BODY_TIMEOUT',
  'UND_ERR_RES_CONTENT_LENGTH_MISMATCH',
]);
/** Wrong until somebody acts, unless the host has answered in this run. */
const UNREACHABLE: ReadonlySet<string> = new Set(['ECONNREFUSED', 'ENETUNREACH', 'EHOSTUNREACH', 'ENOTFOUND']);
const NOT_TLS: ReadonlySet<string> = new Set(['ERR_SSL_WRONG_VERSION_NUMBER', 'ERR_SSL_PACKET_LENGTH_TOO_LONG', 'EPROTO']);
const TLS =
  /^(?:ERR_(?:TLS|SSL)_|CERT_|CRL_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|HOSTNAME_MISMATCH|ERROR_IN_CERT_|INVALID_CA$|PATH_LENGTH_EXCEEDED)/;

/** What a failed exchange means. Errors of our own, such as those of a body that is sent, pass unchanged. */
export function networkError(error: unknown, request: FailedRequest): KitError {
  if (isKitError(error)) return error;
  const { method, url, wasReached } = request;
  const code = errorCode(error);
  const what = `${method} ${redactUrl(url)}`;
  if (NOT_TLS.has(code)) {
    return new KitError('TLS_FAILED', `${what}: ${url.host} does not speak TLS`, {
      hint: 'if the registry is served over plain http, add `--plain-http`',
      cause: error,
    });
  }
  if (TLS.test(code)) {
    return new KitError('TLS_FAILED', `${what}: the certificate or TLS handshake of ${url.host} failed (${code})`, {
      hint: 'trust its authority with `--tls-cert FILE`, skip the check with `--tls-verify=false`, or use `--plain-http` for a registry without TLS',
      cause: error,
    });
  }
  if (UNREACHABLE.has(code)) {
    const options = { hint: `check the name and port of ${url.host}, the network, and the proxy settings`, cause: error };
    const message = `${what}: ${url.host} cannot be reached (${code})`;
    return wasReached && code === 'ECONNREFUSED'
      ? new TransientError('NETWORK', message, options)
      : new KitError('NETWORK', message, options);
  }
  // a server of https closes the connection when it is spoken to in http
  const mayWantTls = url.protocol === 'http:' && !wasReached;
  const hint = `check the network and try again${mayWantTls ? '; if the registry is served over https, add `--plain-http=false`' : ''}`;
  const options = { hint, cause: error };
  const message = `${what}: the connection to ${url.host} failed (${code === '' ? errorText(error) : code})`;
  return BROKEN.has(code) ? new TransientError('NETWORK', message, options) : new KitError('NETWORK', message, options);
}

function errorCode(error: unknown): string {
  if (typeof error !== 'object' || error === null) return '';
  if ('code' in error && typeof error.code === 'string') return error.code;
  // several addresses were tried: the first failure stands for all
  if (error instanceof AggregateError) return errorCode(error.errors[0]);
  return 'cause' in error ? errorCode(error.cause) : '';
}

function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
