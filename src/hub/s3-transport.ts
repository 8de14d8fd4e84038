import { Readable } from 'node:stream';
import type { S3ClientConfig } from '@aws-sdk/client-s3';
import { readLimited } from '../registry/body.ts';
import type { WebHttp } from './web-http.ts';

type RequestHandler = NonNullable<S3ClientConfig['requestHandler']>;

/** What the SDK wants to have sent. */
export interface S3Request {
  readonly method: string;
  readonly protocol: string;
  readonly hostname: string;
  readonly port?: number | undefined;
  readonly path: string;
  readonly query?: Readonly<Record<string, string | readonly string[] | null>>;
  readonly headers: Readonly<Record<string, string>>;
}

/** A listing of 1000 objects, with keys of 1 KiB that are escaped. */
const MAX_ANSWER = 16 * 1024 * 1024;
/** All that the SDK reads something in; what is transient is repeated before. */
const ACCEPTED = [200, 204, 206, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 405, 409, 410, 411, 412, 413, 416, 501];

/** Sends what the SDK asks through the connections, proxies and certificates of everything else. Small answers only. */
export function s3Transport(http: WebHttp): RequestHandler {
  return {
    async handle(request: S3Request, { abortSignal }: { readonly abortSignal?: AbortSignal } = {}) {
      const response = await http.request({
        method: request.method as 'GET' | 'HEAD',
        url: urlOf(request),
        subject: `s3 ${request.hostname}${request.path}`,
        credentials: headersOf(request),
        accept: ACCEPTED,
        call: { signal: abortSignal },
      });
      const body = request.method === 'HEAD' ? Buffer.alloc(0) : await readLimited(response.body, MAX_ANSWER, request.path);
      if (request.method === 'HEAD') await response.discard();
      const headers: Record<string, string> = {};
      for (const name of ANSWER_HEADERS) {
        const value = response.header(name);
        if (value !== undefined) headers[name] = value;
      }
      return { response: { statusCode: response.status, headers, body: Readable.from([body], { objectMode: false }) } };
    },
  } as RequestHandler;
}

/** Those that the SDK makes something of, in an answer to the requests of this folder. */
const ANSWER_HEADERS = [
  'content-type',
  'content-length',
  'etag',
  'last-modified',
  'x-amz-bucket-region',
  'x-amz-checksum-sha256',
  'x-amz-checksum-type',
  'x-amz-delete-marker',
  'x-amz-request-id',
  'x-amz-version-id',
];

/** Without the host, which the URL gives. */
export function headersOf({ headers }: S3Request): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => name.toLowerCase() !== 'host'));
}

export function urlOf({ protocol, hostname, port, path, query = {} }: S3Request): URL {
  const pairs = Object.entries(query).flatMap(([key, value]) =>
    (Array.isArray(value) ? (value as readonly string[]) : [value as string | null]).map((one) => `${escape(key)}=${escape(one ?? '')}`),
  );
  const host = `${protocol}//${hostname}${port === undefined ? '' : `:${port}`}`;
  return new URL(`${host}${path}${pairs.length === 0 ? '' : `?${pairs.join('&')}`}`);
}

function escape(text: string): string {
  return encodeURIComponent(text).replaceAll(/[!'()*]/g, (mark) => `%${mark.charCodeAt(0).toString(16).toUpperCase()}`);
}
