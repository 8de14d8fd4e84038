import { setTimeout } from 'node:timers/promises';
import { KitError } from '../errors.ts';
import { plainText, redactUrl } from '../registry/redact.ts';

/** One request to a service that takes part in signing: its authority, log, key service or identity provider. */
export interface ServiceRequest {
  readonly method?: 'GET' | 'POST';
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Statuses that are returned as they are; all else but 2xx is an error. */
  readonly accept?: readonly number[];
  /** False for what must not be done twice. Default true. */
  readonly isRetried?: boolean;
  /** A log may wait for others before it answers. Default 30 s. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal | undefined;
}

export interface ServiceReply {
  readonly status: number;
  readonly text: string;
}

const MAX_REPLY_BYTES = 4 * 1024 * 1024;
const ATTEMPTS = 3;

/**
 * Asks a service; `what` names it in messages, which never show headers or bodies that were sent.
 * @throws KitError NETWORK when it cannot be reached, SERVICE_FAILED when it refuses
 */
export async function askService(url: URL, what: string, request: ServiceRequest = {}): Promise<ServiceReply> {
  const { isRetried = true, accept = [] } = request;
  for (let attempt = 1; ; attempt += 1) {
    const isLast = !isRetried || attempt === ATTEMPTS;
    const reply = await send(url, what, request, isLast);
    if (reply !== undefined) {
      if ((reply.status >= 200 && reply.status < 300) || accept.includes(reply.status)) return reply;
      if (isLast || !(reply.status >= 500 || reply.status === 429 || reply.status === 408)) throw refused(url, what, reply);
    }
    await setTimeout(attempt * attempt * 200, undefined, { signal: request.signal });
  }
}

/** The JSON of a reply. @throws KitError SERVICE_FAILED */
export function replyJson({ text }: ServiceReply, url: URL, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new KitError('SERVICE_FAILED', `${what} at ${redactUrl(url)} answered with something that is not JSON`, { cause });
  }
}

/** Undefined when it could not be reached and is to be asked again. */
async function send(url: URL, what: string, request: ServiceRequest, isLast: boolean): Promise<ServiceReply | undefined> {
  const { method = 'GET', headers = {}, body, signal, timeoutMs = 30_000 } = request;
  const timeout = AbortSignal.timeout(timeoutMs);
  try {
    const response = await fetch(url, {
      method,
      headers,
      signal: signal === undefined ? timeout : AbortSignal.any([signal, timeout]),
      // what goes along is for this service only
      redirect: 'error',
      ...(body !== undefined && { body }),
    });
    return { status: response.status, text: await readText(response) };
  } catch (cause) {
    signal?.throwIfAborted();
    if (cause instanceof KitError) throw cause;
    if (!isLast) return undefined;
    const inner = (cause as Error).cause;
    const why = timeout.aborted
      ? `no answer within ${timeoutMs / 1000} s`
      : ((inner as Error | undefined)?.message ?? (cause as Error).message);
    throw new KitError('NETWORK', `${what} at ${redactUrl(url)} cannot be reached: ${plainText(why)}`, {
      hint: 'check the URL and the connection, and run the command again',
      cause,
    });
  }
}

async function readText(response: Response): Promise<string> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    length += part.byteLength;
    if (length > MAX_REPLY_BYTES)
      throw new KitError('SERVICE_FAILED', `${redactUrl(new URL(response.url))} answered with more than ${MAX_REPLY_BYTES} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}

function refused(url: URL, what: string, { status, text }: ServiceReply): KitError {
  return new KitError('SERVICE_FAILED', `${what} at ${redactUrl(url)} answered ${status}: ${plainText(reasonIn(text))}`);
}

/** What the services of sigstore, OAuth and Vault say in their errors. */
function reasonIn(text: string): string {
  try {
    const { message, error_description: description, error, errors } = JSON.parse(text) as Record<string, unknown>;
    const found = [message, description, error, Array.isArray(errors) ? errors.join('; ') : undefined].find(
      (one) => typeof one === 'string' && one !== '',
    );
    return typeof found === 'string' ? found : text;
  } catch {
    return text;
  }
}
