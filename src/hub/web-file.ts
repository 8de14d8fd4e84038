import type { ByteRange, Bytes } from '../blob-source.ts';
import { KitError } from '../errors.ts';
import type { CallOptions } from '../events.ts';
import { partOf, slice } from '../registry/blob-parts.ts';
import { downloadRange } from '../registry/download.ts';
import type { RangeParts } from '../registry/range-parts.ts';
import { TransientError } from '../registry/transient.ts';
import type { TransportResponse } from '../registry/transport.ts';
import type { Explain } from './web-failure.ts';
import type { WebHttp } from './web-http.ts';

/** A file that a web server has. */
export interface WebFile {
  readonly http: WebHttp;
  readonly url: URL;
  /** For messages and events. */
  readonly subject: string;
  /** Bytes. */
  readonly size: number;
  readonly authorization?: string | undefined;
  /** The headers that let one request pass, made anew for each: they expire. */
  readonly sign?: (() => Promise<Readonly<Record<string, string>>>) | undefined;
  readonly explain?: Explain | undefined;
  /** True when nothing but the server's word tells one version of the file from another. */
  readonly isUnnamed?: boolean;
}

/**
 * The bytes of a file, or of `range`: a download that breaks goes on where it stopped, one that a link slows down goes on over
 * several connections. Not verified. @throws KitError NETWORK | SIZE_MISMATCH | REGISTRY_ERROR | SOURCE_CHANGED ...
 */
export async function* readWebFile(file: WebFile, range: ByteRange | undefined, call: CallOptions): AsyncGenerator<Uint8Array> {
  const wanted = { start: range?.start ?? 0, end: Math.min(range?.end ?? file.size, file.size) };
  if (wanted.start >= wanted.end) return;
  yield* await downloadRange(new WebFileParts(file, call), wanted);
}

class WebFileParts implements RangeParts {
  readonly context: { readonly http: WebHttp };
  readonly blob: { readonly digest: string };
  readonly call: CallOptions;
  readonly #file: WebFile;
  /** The host that the server has sent us to: asked directly for further parts, until it refuses. */
  #storage: URL | undefined;
  #hasRanges = true;
  #etag: string | undefined;

  constructor(file: WebFile, call: CallOptions) {
    this.#file = file;
    this.context = { http: file.http };
    this.blob = { digest: file.subject };
    this.call = call;
  }

  get hasRanges(): boolean {
    return this.#hasRanges;
  }

  async open(range: ByteRange): Promise<Bytes> {
    return await this.#open(range, true);
  }

  async reopen(range: ByteRange): Promise<Bytes> {
    return await this.#open(range, false);
  }

  async openExactly(range: ByteRange, call: CallOptions): Promise<Bytes | undefined> {
    const response = await this.#once(range, call);
    try {
      if (response.status === 206) return this.#checked(range, response);
    } catch (error) {
      await response.discard();
      throw error;
    }
    await response.discard();
    return undefined;
  }

  cutOff(position: number, end: number): TransientError {
    return new TransientError('NETWORK', `${this.#file.subject}: the download ended at byte ${position} of ${end}`, {
      hint: 'check the network and try again',
    });
  }

  async #open(range: ByteRange, isRetried: boolean): Promise<Bytes> {
    const { size, subject, url } = this.#file;
    const isPart = range.start > 0 || range.end < size;
    const response = await this.#request(isPart ? range : undefined, url, this.call, isRetried);
    this.#storage = response.url.origin === url.origin ? undefined : response.url;
    try {
      if (response.status === 206) return this.#checked(range, response);
      this.#checkVersion(response);
      this.#hasRanges = !isPart && response.header('accept-ranges') !== 'none';
      const length = response.header('content-length');
      if (length !== undefined && Number(length) !== size)
        throw new KitError('SIZE_MISMATCH', `${subject}: the server sends ${length} bytes where it said ${size}`);
      return isPart ? slice(response.body, range.start, range.end) : response.body;
    } catch (error) {
      await response.discard();
      throw error;
    }
  }

  async #once(range: ByteRange, call: CallOptions): Promise<TransportResponse> {
    const storage = this.#storage;
    if (storage !== undefined) {
      try {
        return await this.#request(range, storage, call, false);
      } catch {
        call.signal?.throwIfAborted();
        // signed addresses expire: the server knows a fresh one, or says what is wrong
        if (this.#storage === storage) this.#storage = undefined;
      }
    }
    const response = await this.#request(range, this.#file.url, call, false);
    if (response.url.origin !== this.#file.url.origin) this.#storage = response.url;
    return response;
  }

  async #request(range: ByteRange | undefined, url: URL, call: CallOptions, isRetried: boolean): Promise<TransportResponse> {
    const { http, subject, explain, authorization, sign } = this.#file;
    const isOwn = url === this.#file.url;
    return await http.request({
      url,
      subject,
      explain,
      call,
      isRetried,
      isBulk: true,
      accept: [200, 206],
      ...(isOwn && { authorization, credentials: await sign?.() }),
      ...(range === undefined ? {} : { headers: { range: `bytes=${range.start}-${range.end - 1}` } }),
    });
  }

  #checked(range: ByteRange, response: TransportResponse): Bytes {
    this.#checkVersion(response);
    const { size, subject } = this.#file;
    return partOf(response, range, size, subject);
  }

  #checkVersion(response: TransportResponse): void {
    if (this.#file.isUnnamed !== true) return;
    const etag = response.header('etag') ?? response.header('last-modified');
    this.#etag ??= etag;
    if (etag !== this.#etag) throw new KitError('SOURCE_CHANGED', `${this.#file.subject} changed while it was downloaded`);
  }
}
