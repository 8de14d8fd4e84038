import { type ErrorCode, KitError } from '../errors.ts';
import { readHead } from '../registry/body.ts';
import { plainText, redactUrl } from '../registry/redact.ts';
import { parseRetryAfter } from '../registry/retry.ts';
import { TransientError } from '../registry/transient.ts';
import type { TransportResponse } from '../registry/transport.ts';

export interface Verdict {
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint?: string;
}

/** What an answer that nobody asked for means; undefined for what HTTP says of its status. `isTrusted`: no other host is in between. */
export type Explain = (response: Pick<TransportResponse, 'status' | 'header'>, isTrusted: boolean) => Verdict | undefined;

interface FailedRequest {
  readonly method: string;
  /** What was asked last. */
  readonly url: URL;
  readonly subject: string;
  readonly isTrusted: boolean;
  readonly explain?: Explain | undefined;
}

const MAX_ERROR_BYTES = 16 * 1024;
const TRANSIENT: ReadonlySet<number> = new Set([408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524]);

/** The error for an answer that the caller has no use for. */
export async function webFailure(request: FailedRequest, response: TransportResponse): Promise<KitError> {
  const { method, url, subject, isTrusted, explain } = request;
  const { status } = response;
  const body = await readHead(response.body, MAX_ERROR_BYTES);
  const said = saidIn(body, response.header('content-type'));
  const { code, message, ...options } = explain?.(response, isTrusted) ?? judge(status, url);
  const text = `${subject}: ${message} (${method} ${redactUrl(url)}: ${status}${said === '' ? '' : ` ${said}`})`;
  if (!TRANSIENT.has(status)) return new KitError(code, text, options);
  return new TransientError(code, text, { ...options, retryAfterMs: parseRetryAfter(response.header('retry-after')) });
}

function judge(status: number, url: URL): Verdict {
  if (status === 401) return { code: 'UNAUTHORIZED', message: `${url.host} wants credentials`, hint: 'give a token with `--token`' };
  if (status === 403) return { code: 'DENIED', message: `${url.host} denies access` };
  if (status === 404 || status === 410) return { code: 'PATH_NOT_FOUND', message: 'there is no such file', hint: 'check the address' };
  if (status === 429) return { code: 'REGISTRY_ERROR', message: `${url.host} limits the rate of requests`, hint: 'wait and try again' };
  if (status < 500) return { code: 'REGISTRY_ERROR', message: `${url.host} refused` };
  return { code: 'REGISTRY_ERROR', message: `${url.host} failed`, hint: 'try again later' };
}

/** The `error` or `message` of a JSON body; a page is no message. */
function saidIn(body: Buffer, type: string | undefined): string {
  if (type?.includes('json') !== true) return '';
  try {
    const value: unknown = JSON.parse(body.toString());
    if (typeof value !== 'object' || value === null) return '';
    const { error, message } = value as { error?: unknown; message?: unknown };
    return plainText(typeof error === 'string' ? error : typeof message === 'string' ? message : '');
  } catch {
    return '';
  }
}
