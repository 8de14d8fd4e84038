import { isKitError, KitError } from '../errors.ts';
import { redactUrl } from './redact.ts';
import { StalledError } from './stall.ts';
import { TransientError } from './transient.ts';

interface FailedRequest {
  readonly method: string;
  readonly url: URL;
  readonly proxy: URL | undefined;
  /** The origin has answered before. */
  readonly wasReached: boolean;
}

const BROKEN: ReadonlySet<string> = new Set([
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'EAI_AGAIN',
  'UND_ERR_SOCKET',
  'UND_ERR_RES_CONTENT_LENGTH_MISMATCH',
]);
const SILENT: ReadonlySet<string> = new Set(['ETIMEDOUT', 'UND_ERR_CONNECT_TIMEOUT', 'UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT']);
/** Wrong until somebody acts, unless the host has answered in this run. */
const UNREACHABLE: ReadonlySet<string> = new Set(['ECONNREFUSED', 'ENETUNREACH', 'EHOSTUNREACH', 'ENOTFOUND']);
const NOT_TLS: ReadonlySet<string> = new Set(['ERR_SSL_WRONG_VERSION_NUMBER', 'ERR_SSL_PACKET_LENGTH_TOO_LONG', 'EPROTO']);
const TLS =
  /^(?:ERR_(?:TLS|SSL)_|CERT_|CRL_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|HOSTNAME_MISMATCH|ERROR_IN_CERT_|INVALID_CA$|PATH_LENGTH_EXCEEDED)/;

/** What a failed exchange means. Errors of our own, such as those of a body that is sent, pass unchanged. */
export function networkError(error: unknown, request: FailedRequest): KitError {
  if (isKitError(error)) return error;
  const { method, url, proxy, wasReached } = request;
  const code = errorCode(error);
  const what = `${method} ${redactUrl(url)}`;
  const [, refusal] = /^Proxy response \((\d+)\)/.exec(errorText(error)) ?? [];
  if (refusal !== undefined) return refusedByProxy(refusal, `${what}: the proxy refuses the way to ${url.host} (${refusal})`, error);
  if (NOT_TLS.has(code)) {
    return new KitError('TLS_FAILED', `${what}: ${url.host} does not speak TLS`, {
      hint: 'if the registry is served over plain http, add `--plain-http`',
      cause: error,
    });
  }
  if (TLS.test(code)) {
    return new KitError('TLS_FAILED', `${what}: the certificate or TLS handshake of ${url.host} failed (${code})`, {
      hint: tlsHint(code, url),
      cause: error,
    });
  }
  if (UNREACHABLE.has(code)) {
    const options = { hint: `check the name and port of ${url.host}, the network, and the proxy settings`, cause: error };
    const message = `${what}: ${url.host} cannot be reached${proxy === undefined ? '' : ` through the proxy ${proxy.host}`} (${code})`;
    return wasReached ? new TransientError('NETWORK', message, options) : new KitError('NETWORK', message, options);
  }
  const hintOfLink = 'check the network and try again';
  if (error instanceof StalledError) {
    const message = `${what}: the connection to ${url.host} has stalled (${error.message})`;
    return new TransientError('NETWORK', message, { hint: hintOfLink, cause: error });
  }
  if (SILENT.has(code)) {
    return new TransientError('NETWORK', `${what}: ${url.host} does not answer in time (${code})`, { hint: hintOfLink, cause: error });
  }
  // a server of https closes the connection when it is spoken to in http
  const mayWantTls = url.protocol === 'http:' && !wasReached;
  const hint = `${hintOfLink}${mayWantTls ? '; if the registry is served over https, add `--plain-http=false`' : ''}`;
  const options = { hint, cause: error };
  const message = `${what}: the connection to ${url.host} failed (${code === '' ? errorText(error) : code})`;
  return BROKEN.has(code) ? new TransientError('NETWORK', message, options) : new KitError('NETWORK', message, options);
}

function refusedByProxy(status: string, message: string, cause: unknown): KitError {
  if (/^50[234]$/.test(status))
    return new TransientError('NETWORK', message, { hint: 'check the network behind the proxy and try again', cause });
  const hint =
    status === '407' ? 'write its user and password into its URL: http://USER:PASSWORD@HOST:PORT' : 'check the rules of the proxy';
  return new KitError('NETWORK', message, { hint, cause });
}

function tlsHint(code: string, { hostname }: URL): string {
  if (code === 'CERT_HAS_EXPIRED') return 'have the certificate renewed, or set the clock of this machine if that is wrong';
  if (code === 'CERT_NOT_YET_VALID') return 'set the clock of this machine, which is before the date of the certificate';
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    return `use a name that the certificate was issued for, or have one issued for ${hostname}; a proxy or captive portal also looks like this`;
  }
  return 'trust its authority with `--tls-cert FILE`, skip the check with `--tls-verify=false`, or use `--plain-http` for a registry without TLS';
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
