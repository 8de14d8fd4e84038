import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

interface StoredObject {
  readonly content: Buffer;
  /** Sends its SHA-256 to who asks for checksums. */
  readonly hasChecksum: boolean;
}

interface LoggedRequest {
  readonly method: string;
  /** Decoded, with the query. */
  readonly path: string;
  readonly authorization: string | undefined;
  readonly range: string | undefined;
  readonly ifMatch: string | undefined;
  status: number;
}

export interface TestS3 {
  /** `http://127.0.0.1:PORT`, for AWS_ENDPOINT_URL. */
  readonly url: string;
  /** What kit needs to reach it. */
  readonly env: Readonly<Record<string, string>>;
  readonly requests: LoggedRequest[];
  readonly behaviour: {
    /** Keys of one page of a listing. */
    pageSize: number;
    /** Called before each answer; true when it has answered itself. */
    intercept: ((request: IncomingMessage, response: ServerResponse) => boolean) | undefined;
    /** Changes the content that is sent, not what is said of it. */
    tamper: ((key: string, content: Buffer) => Buffer) | undefined;
  };
  put(bucket: string, key: string, content: string | Buffer, options?: { readonly checksum?: boolean }): void;
  /** The ETag, as S3 makes it of an object that was sent in one piece. */
  etag(bucket: string, key: string): string;
  close(): Promise<void>;
}

const KEY = 'AKIDOFTHETESTS';

/**
 * The parts of the S3 API that reading needs, in this process: HEAD and GET of objects with ranges and `If-Match`, and ListObjectsV2 in pages.
 * Buckets are in the path; signatures are asked for, not checked. test/interop/s3.test.ts has the same commands against a real server.
 */
export async function startS3(): Promise<TestS3> {
  const objects = new Map<string, StoredObject>();
  const requests: LoggedRequest[] = [];
  const behaviour: TestS3['behaviour'] = { pageSize: 1000, intercept: undefined, tamper: undefined };
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://s3');
    const path = decodeURIComponent(url.pathname.slice(1));
    const { authorization, range, 'if-match': ifMatch } = request.headers;
    const logged = { method: request.method ?? '', path: path + url.search, authorization, range, ifMatch, status: 0 };
    requests.push(logged);
    response.on('finish', () => (logged.status = response.statusCode));
    if (behaviour.intercept?.(request, response) === true) return undefined;
    if (authorization?.includes(`Credential=${KEY}/`) !== true) return refuse(request, response, 403, 'AccessDenied');
    if (url.searchParams.get('list-type') === '2') return list(url, path.replace(/\/$/, ''), response);
    return send(path, request, response);
  });

  function list(url: URL, bucket: string, response: ServerResponse): void {
    const prefix = `${bucket}/${url.searchParams.get('prefix') ?? ''}`;
    const after = url.searchParams.get('continuation-token') ?? '';
    const keys = [...objects.keys()].filter((key) => key.startsWith(prefix) && key > after).toSorted();
    const page = keys.slice(0, behaviour.pageSize);
    const entries = page.map((key) => {
      const { content } = objects.get(key) as StoredObject;
      return `<Contents><Key>${xml(key.slice(bucket.length + 1))}</Key><Size>${content.byteLength}</Size><ETag>&quot;${md5(content)}&quot;</ETag></Contents>`;
    });
    const more = page.length < keys.length;
    const token = more ? `<NextContinuationToken>${xml(page.at(-1) ?? '')}</NextContinuationToken>` : '';
    response.writeHead(200, { 'content-type': 'application/xml' });
    response.end(
      `<ListBucketResult><Name>${bucket}</Name><IsTruncated>${more}</IsTruncated>${entries.join('')}${token}</ListBucketResult>`,
    );
  }

  function send(path: string, request: IncomingMessage, response: ServerResponse): void {
    const object = objects.get(path);
    if (object === undefined) return refuse(request, response, 404, 'NoSuchKey');
    const { content, hasChecksum } = object;
    const etag = `"${md5(content)}"`;
    if (request.headers['if-match'] !== undefined && request.headers['if-match'] !== etag)
      return refuse(request, response, 412, 'PreconditionFailed');
    const sent = behaviour.tamper?.(path, content) ?? content;
    const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') ?? [];
    const start = Number(first ?? 0);
    const end = last ? Math.min(Number(last) + 1, sent.byteLength) : sent.byteLength;
    response.writeHead(first === undefined ? 200 : 206, {
      etag,
      'accept-ranges': 'bytes',
      'content-length': end - start,
      ...(first !== undefined && { 'content-range': `bytes ${start}-${end - 1}/${sent.byteLength}` }),
      ...(hasChecksum && request.headers['x-amz-checksum-mode'] === 'ENABLED' && { 'x-amz-checksum-sha256': sha256(content) }),
    });
    response.end(request.method === 'HEAD' ? undefined : sent.subarray(start, end));
  }

  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    env: { AWS_ENDPOINT_URL: url, AWS_REGION: 'us-east-1', AWS_ACCESS_KEY_ID: KEY, AWS_SECRET_ACCESS_KEY: 'secretOfTheTests' },
    requests,
    behaviour,
    put(bucket, key, content, { checksum: hasChecksum = false } = {}) {
      objects.set(`${bucket}/${key}`, { content: Buffer.from(content), hasChecksum });
    },
    etag: (bucket, key) => md5(objects.get(`${bucket}/${key}`)?.content ?? Buffer.alloc(0)),
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function refuse(request: IncomingMessage, response: ServerResponse, status: number, code: string): void {
  response.writeHead(status, { 'content-type': 'application/xml' });
  response.end(request.method === 'HEAD' ? undefined : `<Error><Code>${code}</Code><Message>no</Message></Error>`);
}

function xml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}

function md5(content: Buffer): string {
  return createHash('md5').update(content).digest('hex');
}

function sha256(content: Buffer): string {
  return createHash('sha256').update(content).digest('base64');
}
