import type * as AwsSdk from '@aws-sdk/client-s3';
import type { S3Client } from '@aws-sdk/client-s3';
import { isKitError, KitError } from '../errors.ts';
import type { CallOptions } from '../events.ts';
import { type Digest, isDigest } from '../oci/digest.ts';
import { plainText } from '../registry/redact.ts';
import type { S3Reference } from './s3-reference.ts';
import { s3Settings } from './s3-settings.ts';
import { headersOf, type S3Request, s3Transport, urlOf } from './s3-transport.ts';
import type { WebHttp } from './web-http.ts';

/** What S3 says of an object. */
export interface S3Object {
  readonly bucket: string;
  readonly key: string;
  readonly versionId: string | undefined;
  /** Bytes. */
  readonly size: number;
  /** Without its quotes. */
  readonly etag: string | undefined;
  /** SHA-256 that was given when the object was written; null where it was not asked for. */
  readonly digest: Digest | undefined | null;
}

type Place = Pick<S3Object, 'bucket' | 'key'>;

/** A GET that passes for some minutes. */
export interface SignedGet {
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
}

type Sdk = typeof AwsSdk;

const MAX_OBJECTS = 500_000;
const CREDENTIALS_HINT =
  'give AWS credentials that may read it: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or a role of the machine';

/** One S3, or what speaks its API. The SDK signs, lists and knows where credentials are; the bytes of objects do not pass through it. */
export class S3 {
  readonly #sdk: Sdk;
  readonly #client: S3Client;

  private constructor(sdk: Sdk, client: S3Client) {
    this.#sdk = sdk;
    this.#client = client;
  }

  /** Without credentials anywhere, requests are not signed: public buckets take such. @throws KitError CREDENTIALS_FAILED | CONFIG_INVALID */
  static async open(http: WebHttp, env: Readonly<Record<string, string | undefined>>): Promise<S3> {
    const sdk = await import('@aws-sdk/client-s3');
    const options = {
      ...s3Settings(env),
      requestHandler: s3Transport(http),
      // what is transient is repeated below
      maxAttempts: 1,
      followRegionRedirects: true,
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
    } as const;
    let client = new sdk.S3Client(options);
    const region = await client.config.region().catch(() => undefined);
    if (region === undefined) client = new sdk.S3Client({ ...options, region: 'us-east-1' });
    try {
      await client.config.credentials();
    } catch (error) {
      const { message } = error as Error;
      if (!/could not load credentials from any providers/i.test(message))
        throw new KitError('CREDENTIALS_FAILED', `no AWS credentials can be had: ${plainText(message)}`, {
          cause: error,
          hint: CREDENTIALS_HINT,
        });
      // asked for all the same
      const credentials = { accessKeyId: 'anonymous', secretAccessKey: 'anonymous' };
      const signer = { sign: async <T>(request: T): Promise<T> => request };
      client = new sdk.S3Client({ ...options, region: region ?? 'us-east-1', credentials, signer });
    }
    return new S3(sdk, client);
  }

  /** One object, or all below a prefix but markers of folders, in the order of their keys. @throws KitError PATH_NOT_FOUND | DENIED | LIMIT_EXCEEDED ... */
  async objects(reference: S3Reference, call: CallOptions): Promise<S3Object[]> {
    if (!reference.isPrefix) return [await this.head(reference, call)];
    const { bucket, key } = reference;
    const found: S3Object[] = [];
    let token: string | undefined;
    do {
      const command = new this.#sdk.ListObjectsV2Command({ Bucket: bucket, Prefix: key, ContinuationToken: token });
      const page = await this.#ask(reference, call, (options) => this.#client.send(command, options));
      for (const { Key = '', Size = 0, ETag } of page.Contents ?? [])
        if (!Key.endsWith('/')) found.push({ bucket, key: Key, versionId: undefined, size: Size, etag: unquoted(ETag), digest: null });
      const next = page.IsTruncated === true ? page.NextContinuationToken : undefined;
      if (found.length > MAX_OBJECTS || (next !== undefined && next === token))
        throw new KitError('LIMIT_EXCEEDED', `${formatS3(reference)} has more than ${MAX_OBJECTS} objects, or its list has no end`);
      token = next;
    } while (token !== undefined);
    return found;
  }

  /** A GET of the object as long as it is the same. */
  async signedGet({ bucket, key, versionId, etag }: S3Object, call: CallOptions): Promise<SignedGet> {
    const command = new this.#sdk.GetObjectCommand({
      Bucket: bucket,
      Key: key,
      ...(versionId !== undefined && { VersionId: versionId }),
      ...(etag !== undefined && { IfMatch: `"${etag}"` }),
    });
    let signed: S3Request | undefined;
    // behind the signing, before the request would be sent
    command.middlewareStack.add(
      () => async (args) => {
        signed = args.request as S3Request;
        return { response: {}, output: { $metadata: {} } };
      },
      { step: 'deserialize', priority: 'high', name: 'captureSigned' },
    );
    await this.#ask({ bucket, key }, call, (options) => this.#client.send(command, options));
    if (signed === undefined) throw new KitError('INTERNAL', 'the AWS SDK has signed nothing');
    return { url: urlOf(signed), headers: headersOf(signed) };
  }

  /** What S3 says of one object. @throws KitError PATH_NOT_FOUND | DENIED ... */
  async head({ bucket, key, versionId }: Pick<S3Object, 'bucket' | 'key' | 'versionId'>, call: CallOptions): Promise<S3Object> {
    const input = { Bucket: bucket, Key: key, ChecksumMode: 'ENABLED', ...(versionId !== undefined && { VersionId: versionId }) } as const;
    const command = new this.#sdk.HeadObjectCommand(input);
    const {
      ContentLength: size,
      ETag,
      ChecksumSHA256: sum,
      ChecksumType: type,
    } = await this.#ask({ bucket, key }, call, (options) => this.#client.send(command, options));
    if (size === undefined || !Number.isSafeInteger(size))
      throw new KitError('REGISTRY_ERROR', `${formatS3({ bucket, key })}: the server does not say how large it is`);
    // that of parts says nothing of the whole
    const digest =
      sum === undefined || type === 'COMPOSITE' || sum.includes('-') ? undefined : `sha256:${Buffer.from(sum, 'base64').toString('hex')}`;
    return { bucket, key, versionId, size, etag: unquoted(ETag), digest: isDigest(digest) ? digest : undefined };
  }

  async #ask<T>(place: Place, { signal }: CallOptions, send: (options: { readonly abortSignal?: AbortSignal }) => Promise<T>): Promise<T> {
    try {
      return await send(signal === undefined ? {} : { abortSignal: signal });
    } catch (error) {
      signal?.throwIfAborted();
      throw isKitError(error) ? error : s3Failure(place, error);
    }
  }
}

export function formatS3({ bucket, key }: Place): string {
  return `s3://${bucket}/${key}`;
}

function unquoted(etag: string | undefined): string | undefined {
  return etag?.replace(/^"(.*)"$/s, '$1');
}

/** What an answer to a GET of an object means. */
export function judgeS3(status: number, place: Place): ConstructorParameters<typeof KitError> | undefined {
  const name = formatS3(place);
  if (status === 401 || status === 403) return ['DENIED', `S3 denies access to ${name}`, { hint: CREDENTIALS_HINT }];
  if (status === 404)
    return ['PATH_NOT_FOUND', `there is no ${name}`, { hint: 'check bucket and key, and AWS_ENDPOINT_URL where it is not on AWS' }];
  if (status === 412) return ['SOURCE_CHANGED', `${name} changed meanwhile`, { hint: 'run the command again' }];
  return undefined;
}

function s3Failure(place: Place, error: unknown): KitError {
  const { name, message, $metadata, $response } = error as Error & {
    readonly $metadata?: { readonly httpStatusCode?: number };
    readonly $response?: { readonly headers?: Readonly<Record<string, string>> };
  };
  const status = $metadata?.httpStatusCode ?? 0;
  const said = plainText(`${name}${message === name || message === 'UnknownError' ? '' : `: ${message}`}`);
  const judged = judgeS3(status, place);
  if (judged !== undefined) return new KitError(judged[0], `${judged[1]} (${status} ${said})`, { ...judged[2], cause: error });
  if (status === 0 && /credential|token|sso|profile/i.test(name))
    return new KitError('CREDENTIALS_FAILED', `no AWS credentials can be had: ${said}`, { cause: error, hint: CREDENTIALS_HINT });
  const region = $response?.headers?.['x-amz-bucket-region'];
  const hint = region === undefined ? 'check AWS_ENDPOINT_URL and AWS_REGION' : `the bucket is in \`${region}\`: set AWS_REGION to that`;
  return new KitError('REGISTRY_ERROR', `${formatS3(place)}: S3 refused (${status} ${said})`, { cause: error, hint });
}
