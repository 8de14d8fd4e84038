import { type ErrorCode, KitError, type KitErrorOptions } from '../errors.ts';
import { readHead } from './body.ts';
import type { Endpoint } from './endpoint.ts';
import { isObject, parseObject } from './json-object.ts';
import { plainText, redactUrl } from './redact.ts';
import { parseRetryAfter } from './retry.ts';
import { TransientError } from './transient.ts';
import type { Method } from './exchange.ts';
import type { TransportResponse } from './transport.ts';

/** What a request is about: for messages and for the meaning of 404. */
export interface Subject {
  readonly kind: 'manifest' | 'blob' | 'upload' | 'repository' | 'registry';
  /** `ghcr.io/team/model:v1`, `ghcr.io/team/model@sha256:...`, `ghcr.io`. */
  readonly name: string;
}

export interface FailedExchange {
  readonly method: Method;
  readonly url: URL;
  readonly subject: Subject;
  readonly endpoint: Endpoint;
  /** Credentials, or a token had for credentials, went with the request. */
  readonly isAuthenticated: boolean;
}

interface Diagnosis {
  readonly code: string;
  readonly text: string;
}

interface Verdict extends KitErrorOptions {
  readonly code: ErrorCode;
  readonly message: string;
}

const MAX_ERROR_BYTES = 64 * 1024;
/** 408 and 425 never carried out the request; those above 504 are a CDN's about the registry behind it. */
const TRANSIENT: ReadonlySet<number> = new Set([408, 425, 429, 502, 503, 504, 520, 521, 522, 523, 524]);

/** 500 passes where a storage behind the registry hiccups, but it is also what some answer to a manifest that they do not like. */
function isTransient(status: number, { method, subject }: FailedExchange): boolean {
  // its session ended while the bytes were on their way: there are others
  if (status === 404 && subject.kind === 'upload' && method === 'PUT') return true;
  if (status === 500) return method === 'GET' || method === 'HEAD' || subject.kind === 'upload';
  return TRANSIENT.has(status);
}

/** The error for an answer that the caller has no use for. Reads the body, never more than 64 KiB. */
export async function registryFailure(exchange: FailedExchange, response: TransportResponse): Promise<KitError> {
  const { method, url, subject } = exchange;
  const { status } = response;
  const diagnosis = diagnose(await readHead(response.body, MAX_ERROR_BYTES), response.header('content-type'));
  const lacksScope = /\binsufficient_scope\b/.test(response.header('www-authenticate') ?? '');
  // a token for known credentials that is too weak: other credentials of the same account would not help
  const meaning = status === 401 && lacksScope && exchange.isAuthenticated ? 403 : status;
  const { code, message, ...options } = judge(meaning, diagnosis, exchange);
  const said = [diagnosis.code, diagnosis.text].filter((part) => part !== '').join(': ');
  const text = `${subject.name}: ${message} (${method} ${redactUrl(url)}: ${status}${said === '' ? '' : ` ${said}`})`;
  if (!isTransient(status, exchange)) return new KitError(code, text, options);
  return new TransientError(code, text, { ...options, retryAfterMs: parseRetryAfter(response.header('retry-after')) });
}

function judge(status: number, { code, text }: Diagnosis, exchange: FailedExchange): Verdict {
  const { endpoint, method, subject } = exchange;
  if (status === 401) return unauthorized(exchange);
  if (status === 403) {
    return {
      code: 'DENIED',
      message: 'access denied',
      hint: `check that the account may do this, or log in with another one: \`kit login ${endpoint.registry}\``,
    };
  }
  if (code === 'UNSUPPORTED' || status === 405) return { code: 'UNSUPPORTED', message: 'the registry does not support this' };
  // a manifest that names missing blobs is refused with 404 by some registries and 400 by others
  if (code === 'MANIFEST_BLOB_UNKNOWN' || (code === 'BLOB_UNKNOWN' && method === 'PUT')) {
    return { code: 'BLOB_NOT_FOUND', message: 'the registry lacks a blob that the manifest names', hint: 'push again' };
  }
  if (status === 404) return notFound(code, subject, endpoint);
  if (code === 'DIGEST_INVALID' && (method === 'PUT' || method === 'PATCH')) {
    return { code: 'DIGEST_MISMATCH', message: 'the registry received content that does not have the digest' };
  }
  if (status === 413) return tooLarge(endpoint);
  if (status === 429) {
    const hint = endpoint.rules.rateHint ?? 'wait and try again';
    return { code: 'REGISTRY_ERROR', message: 'the registry limits the rate of requests', hint };
  }
  if (text.includes('HTTP request to an HTTPS server')) {
    return {
      code: 'TLS_FAILED',
      message: 'the registry speaks https',
      hint: 'use it without `--plain-http` (`--plain-http=false` for localhost)',
    };
  }
  if (status < 500) return { code: 'REGISTRY_ERROR', message: 'the registry refused' };
  return {
    code: 'REGISTRY_ERROR',
    message: 'the registry failed',
    hint: 'try again; if it stays, whoever runs the registry finds why in its log',
  };
}

/** By limits that are known of the host, where they are. */
function tooLarge({ registry, rules }: Endpoint): Verdict {
  const { maxLayerBytes, service } = rules;
  const hint =
    maxLayerBytes === undefined
      ? `raise the limit of the body size at ${registry} or its proxy (nginx: \`client_max_body_size 0\`)`
      : `${service} takes layers of up to ${(maxLayerBytes / 1e9).toFixed(1)} GB: split the file into shards, or use another registry`;
  return { code: 'REGISTRY_ERROR', message: 'too large for the registry, or for a proxy before it', hint };
}

function unauthorized({ endpoint, isAuthenticated }: FailedExchange): Verdict {
  const login = `\`kit login ${endpoint.registry}\``;
  if (!isAuthenticated) return { code: 'UNAUTHORIZED', message: 'the registry wants credentials', hint: `log in with ${login}` };
  return { code: 'UNAUTHORIZED', message: 'the registry refuses the credentials', hint: `log in again, or as another user, with ${login}` };
}

function notFound(code: string, subject: Subject, endpoint: Endpoint): Verdict {
  if (subject.kind === 'registry') {
    return { code: 'REGISTRY_ERROR', message: 'no OCI registry answers here', hint: `check the name \`${endpoint.registry}\`` };
  }
  if (subject.kind === 'upload' && code !== 'NAME_UNKNOWN') return { code: 'REGISTRY_ERROR', message: 'the registry has no such upload' };
  const isRepository = code === 'NAME_UNKNOWN' || subject.kind === 'repository';
  const message = isRepository ? 'the repository does not exist in the registry' : 'not found in the registry';
  if (subject.kind === 'upload') return { code: 'REFERENCE_NOT_FOUND', message, hint: 'create the repository at the registry first' };
  const hint = 'check the spelling; a private repository also looks like this without the right credentials';
  return { code: subject.kind === 'blob' ? 'BLOB_NOT_FOUND' : 'REFERENCE_NOT_FOUND', message, hint };
}

/** The first error of a distribution-spec error body, or whatever else the server says in a few words. */
function diagnose(body: Buffer, contentType = ''): Diagnosis {
  const text = body.toString('utf8');
  const first = parseErrors(text);
  if (first !== undefined) return first;
  const isHtml = contentType.includes('html') || /^\s*</.test(text);
  return { code: '', text: plainText(isHtml ? htmlText(text) : text) };
}

function parseErrors(text: string): Diagnosis | undefined {
  const errors = parseObject(text)?.['errors'];
  const first: unknown = Array.isArray(errors) ? errors[0] : undefined;
  if (!isObject(first)) return undefined;
  const code = typeof first['code'] === 'string' ? plainText(first['code']) : '';
  const message = typeof first['message'] === 'string' ? plainText(first['message']) : '';
  const detail = typeof first['detail'] === 'string' ? plainText(first['detail']) : '';
  return { code, text: [message, detail].filter((part) => part !== '').join(': ') };
}

/** The title of an error page, else its text. */
function htmlText(html: string): string {
  const start = html.search(/<title>/i);
  if (start !== -1) return html.slice(start + '<title>'.length).split('<', 1)[0] ?? '';
  return html.replaceAll(/<[^<>]*>/g, ' ');
}
