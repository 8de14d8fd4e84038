import type { ByteRange, Bytes } from '../blob-source.ts';
import { releaseChunk } from '../chunk.ts';
import { KitError } from '../errors.ts';
import type { CallOptions } from '../events.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { reading, type RepositoryContext, repositoryUrl, subjectOf } from './context.ts';
import { TransientError } from './transient.ts';
import type { TransportResponse } from './transport.ts';

/** The requests for one blob: as a whole, or by range. */
export class BlobParts {
  readonly context: RepositoryContext;
  readonly blob: Descriptor;
  readonly call: CallOptions;
  /** The storage host that the registry has sent us to: asked directly for further parts, until it refuses. */
  #storage: URL | undefined;
  #hasRanges = true;

  constructor(context: RepositoryContext, blob: Descriptor, call: CallOptions) {
    this.context = context;
    this.blob = blob;
    this.call = call;
  }

  /** False when an answer has shown that there are none. */
  get hasRanges(): boolean {
    return this.#hasRanges;
  }

  /**
   * The bytes of `range`, retried. An answer that ignores the range is cut to it.
   * @throws KitError BLOB_NOT_FOUND | SIZE_MISMATCH | REGISTRY_ERROR | NETWORK
   */
  async open(range: ByteRange): Promise<Bytes> {
    // another place can be asked
    return await this.#open(range, this.context.isMirror !== true);
  }

  /** The same in one attempt, for those who count themselves. */
  async reopen(range: ByteRange): Promise<Bytes> {
    return await this.#open(range, false);
  }

  async #open(range: ByteRange, isRetried: boolean): Promise<Bytes> {
    const isPart = range.start > 0 || range.end < this.blob.size;
    const response = await this.#request(
      isPart ? range : undefined,
      repositoryUrl(this.context, `blobs/${this.blob.digest}`),
      this.call,
      isRetried,
    );
    // only another host: what the registry's own origin serves may need its credentials
    this.#storage = response.url.origin === this.context.endpoint.origin ? undefined : response.url;
    try {
      if (response.status === 206) return this.#checked(range, response);
      this.#hasRanges = !isPart && response.header('accept-ranges') !== 'none';
      if (isPart && range.isExact === true) throw new KitError('UNSUPPORTED', `${this.#name}: the registry does not send parts of a blob`);
      const length = response.header('content-length');
      if (length !== undefined && Number(length) !== this.blob.size) {
        throw new KitError('SIZE_MISMATCH', `${this.#name}: the registry has ${length} bytes, the manifest says ${this.blob.size}`);
      }
      return isPart ? slice(response.body, range.start, range.end) : response.body;
    } catch (error) {
      await response.discard();
      throw error;
    }
  }

  /** One attempt at the bytes of `range`; undefined when the server does not keep to it. @throws KitError */
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

  /** What is thrown when the bytes end early. */
  cutOff(position: number, end: number): TransientError {
    return new TransientError('NETWORK', `${this.#name}: the download ended at byte ${position} of ${end}`, {
      hint: 'check the network and try again',
    });
  }

  get #name(): string {
    return `${this.context.name}@${this.blob.digest}`;
  }

  async #once(range: ByteRange, call: CallOptions): Promise<TransportResponse> {
    const storage = this.#storage;
    if (storage !== undefined) {
      try {
        return await this.#request(range, storage, call, false);
      } catch {
        call.signal?.throwIfAborted();
        // signed addresses expire: the registry knows a fresh one, or says what is wrong
        if (this.#storage === storage) this.#storage = undefined;
      }
    }
    const response = await this.#request(range, repositoryUrl(this.context, `blobs/${this.blob.digest}`), call, false);
    if (response.url.origin !== this.context.endpoint.origin) this.#storage = response.url;
    return response;
  }

  async #request(range: ByteRange | undefined, url: URL, call: CallOptions, isRetried: boolean): Promise<TransportResponse> {
    return await this.context.http.request({
      ...reading(this.context, call),
      method: 'GET',
      url,
      subject: subjectOf(this.context, 'blob', this.blob.digest),
      accept: [200, 206],
      isBulk: true,
      isRetried,
      ...(range === undefined ? {} : { headers: { range: `bytes=${range.start}-${range.end - 1}` } }),
    });
  }

  #checked(range: ByteRange, response: TransportResponse): Bytes {
    return partOf(response, range, this.blob.size, this.#name);
  }
}

/** The bytes of a 206, which has to be the range that was asked for: anything else would put bytes in the wrong place. @throws KitError REGISTRY_ERROR */
export function partOf(response: TransportResponse, { start, end }: ByteRange, size: number, name: string): Bytes {
  const header = response.header('content-range') ?? '';
  const [, first, last, total] = /^bytes (\d+)-(\d+)\/(\d+|\*)$/i.exec(header.trim()) ?? [];
  const isOther = Number(first) !== start || Number(last) >= end || Number(last) < start;
  if (isOther || (total !== '*' && Number(total) !== size))
    throw new KitError(
      'REGISTRY_ERROR',
      `${name}: asked for bytes ${start}-${end - 1} of ${size}, ${response.url.host} sends \`${header}\``,
    );
  return slice(response.body, 0, Number(last) + 1 - start);
}

/** Bytes [start, end) of `bytes`; the rest is not read. */
export async function* slice(bytes: Bytes, start: number, end: number): AsyncGenerator<Uint8Array, void, undefined> {
  let position = 0;
  if (end === 0) return;
  for await (const chunk of bytes) {
    const from = Math.max(0, start - position);
    const to = Math.min(chunk.byteLength, end - position);
    position += chunk.byteLength;
    if (from < to) yield chunk.subarray(from, to);
    else releaseChunk(chunk);
    if (position > end) return;
  }
}
