/** Head of an HTTP/1 response whose body is plain: so many bytes, as they are. */
export interface ResponseHead {
  readonly status: number;
  /** By lower-case name; repeated ones are joined by commas. */
  readonly headers: ReadonlyMap<string, string>;
  /** Bytes of the body. */
  readonly length: number;
  /** The connection can carry another request afterwards. */
  readonly isReusable: boolean;
}

/** A head that is longer is not read. */
export const MAX_HEAD_BYTES = 64 * 1024;

const STATUS_LINE = /^HTTP\/1\.([01]) ([2-9]\d\d)(?: |$)/;
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
// a tab may stand within a value, other control characters may not
// oxlint-disable-next-line no-control-regex
const CONTROL = /[\u0000-\u0008\u000a-\u001f\u007f]/;
const LENGTH = /^\d{1,15}$/;
const BODILESS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/**
 * The head in `bytes`, which end before the empty line. Undefined for everything but the plain case (RFC 9112): an
 * interim answer, a body that is encoded or of unknown length, a line that breaks the grammar in any way.
 */
export function parseResponseHead(bytes: Buffer): ResponseHead | undefined {
  const [statusLine = '', ...lines] = bytes.toString('latin1').split('\r\n');
  const [, minor, status] = STATUS_LINE.exec(statusLine) ?? [];
  if (status === undefined || CONTROL.test(statusLine)) return undefined;
  const headers = parseFields(lines);
  if (headers === undefined) return undefined;
  const body = plainLength(Number(status), headers);
  if (body === undefined) return undefined;
  const connection = headers.get('connection')?.toLowerCase() ?? '';
  const isKept = minor === '1' ? !connection.includes('close') : connection.includes('keep-alive');
  return { status: Number(status), headers, length: body.length, isReusable: isKept && body.isDelimited };
}

function parseFields(lines: readonly string[]): Map<string, string> | undefined {
  const headers = new Map<string, string>();
  for (const line of lines) {
    const colon = line.indexOf(':');
    const name = line.slice(0, Math.max(0, colon));
    if (!TOKEN.test(name) || CONTROL.test(line)) return undefined;
    const key = name.toLowerCase();
    const before = headers.get(key);
    const value = line.slice(colon + 1).trim();
    headers.set(key, before === undefined ? value : `${before}, ${value}`);
  }
  return headers;
}

function plainLength(status: number, headers: ReadonlyMap<string, string>): { length: number; isDelimited: boolean } | undefined {
  const length = headers.get('content-length');
  const isEncoded = headers.has('transfer-encoding') || (headers.get('content-encoding') ?? 'identity') !== 'identity';
  // two lengths were joined by a comma, and are no length
  if (length !== undefined && LENGTH.test(length) && !isEncoded && !headers.has('upgrade')) {
    return { length: Number(length), isDelimited: true };
  }
  // nobody reads the text of a redirect: the connection ends instead
  return BODILESS.has(status) && headers.has('location') ? { length: 0, isDelimited: false } : undefined;
}
