import type { BlobSource, Bytes } from '../blob-source.ts';
import { KitError } from '../errors.ts';
import type { CallOptions } from '../events.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { StreamDigester } from '../oci/stream-digester.ts';
import { chunkSizeFor } from './chunk-size.ts';
import type { RepositoryContext } from './context.ts';
import { hasBlob } from './download.ts';
import { exactly } from './exactly.ts';
import { uploadLocation } from './location.ts';
import { Setbacks } from './setbacks.ts';
import { TransientError } from './transient.ts';
import type { TransportResponse } from './transport.ts';
import {
  askUpload,
  cancelUpload,
  finishUpload,
  PATCH_REFUSALS,
  receivedBytes,
  startUpload,
  uploading,
  type UploadSession,
} from './upload-session.ts';

/** A blob whose digest is not known before its bytes went by. */
export interface UnhashedUpload {
  readonly mediaType: string;
  readonly source: BlobSource;
  readonly call: CallOptions;
}

/** Answers that say: not in this way. */
const REFUSALS: ReadonlySet<number> = new Set([...PATCH_REFUSALS, 413]);

/**
 * Uploads a blob in one pass: POST, PATCH with all of it (a large one in parts) while the digest is computed, PUT with the digest.
 * What breaks goes on where the registry says it is, if the source has a known size and so can be opened there; else it starts over.
 * Undefined when the registry, or a proxy before it, does not take a blob in this way: nothing was stored then.
 * @throws KitError SIZE_MISMATCH when the source has another size, DIGEST_MISMATCH, DENIED, UNAUTHORIZED, REGISTRY_ERROR, NETWORK;
 * what the source throws
 */
export async function uploadUnhashed(context: RepositoryContext, upload: UnhashedUpload): Promise<Descriptor | undefined> {
  // a stream of unknown length is one request
  if (upload.source.size === undefined && Number.isFinite(context.chunkSize)) return undefined;
  const stream = new StreamUpload(context, upload);
  const setbacks = new Setbacks({ ...upload.call, sleep: context.http.sleep, id: context.name });
  try {
    for (;;) {
      upload.call.signal?.throwIfAborted();
      try {
        return await stream.attempt();
      } catch (error) {
        await setbacks.endure(error, stream.offset);
      }
    }
  } finally {
    await stream.close();
  }
}

/** The digest of the bytes that went by, up to `position`. */
interface Progress {
  readonly digester: StreamDigester;
  position: number;
  /** The update that was begun last. */
  updated: Promise<void>;
}

class StreamUpload {
  /** Bytes that the registry has acknowledged in this session. */
  offset = 0;
  readonly #context: RepositoryContext;
  readonly #upload: UnhashedUpload;
  #session: UploadSession | undefined;
  #progress: Progress | undefined;
  /** Of all that is uploaded; known once its last byte was acknowledged. */
  #blob: Descriptor | undefined;
  /** Counts bodies: one that was given up must not be hashed any further. */
  #bodies = 0;
  /** Bytes of one PATCH: Infinity for all of them. */
  #partBytes: number;

  constructor(context: RepositoryContext, upload: UnhashedUpload) {
    this.#context = context;
    this.#upload = upload;
    this.#partBytes = chunkSizeFor(context, upload.source.size ?? 0);
  }

  /** Undefined when the registry refuses to be streamed to. */
  async attempt(): Promise<Descriptor | undefined> {
    // the answer may have been lost after all bytes arrived
    if (this.#blob !== undefined && (await hasBlob(this.#context, this.#blob, this.#upload.call))) return this.#stored(this.#blob);
    let session = this.#session;
    if (this.#blob === undefined || session === undefined) {
      session = (await this.#resume()) ?? (await this.#begin());
      if (!(await this.#send(session))) return undefined;
      this.#blob = await this.#describe();
    }
    const blob = this.#blob;
    if (await finishUpload(this.#context, { blob, call: this.#upload.call }, session)) return this.#stored(blob);
    throw this.#lost();
  }

  /** Ends the session, unless the blob was stored. */
  async close(): Promise<void> {
    this.#bodies += 1;
    this.#progress?.digester.abandon();
    await this.#cancel();
  }

  async #begin(): Promise<UploadSession> {
    await this.#cancel();
    const session = await startUpload(this.#context, this.#upload, false);
    this.#session = session;
    this.#partBytes = Math.max(this.#partBytes, session.minimumChunk);
    return session;
  }

  /** Asks how much of a broken upload has arrived. Undefined when it cannot go on from there. */
  async #resume(): Promise<UploadSession | undefined> {
    const session = this.#session;
    const size = this.#upload.source.size;
    if (session === undefined || size === undefined || this.#progress === undefined) return undefined;
    const response = await askUpload(this.#context, this.#upload, session);
    if (response.status >= 400) return undefined;
    const received = this.#acknowledged(session, response);
    // `0-0` stands for no byte as well as for one
    if (received === undefined || received <= 1) return undefined;
    this.offset = received;
    return session;
  }

  /** The bytes from the acknowledged offset on. False when the first request is refused as such. */
  async #send(session: UploadSession): Promise<boolean> {
    const { size } = this.#upload.source;
    if (size === undefined) return await this.#sendPart(session, undefined);
    while (this.offset < size) {
      if (!(await this.#sendPart(session, Math.min(size, this.offset + this.#partBytes)))) return false;
    }
    return true;
  }

  /** One PATCH, up to `end`. */
  async #sendPart(session: UploadSession, end: number | undefined): Promise<boolean> {
    const { size } = this.#upload.source;
    const start = this.offset;
    const length = end === undefined ? undefined : end - start;
    const response = await this.#context.http.request({
      ...uploading(this.#context, this.#upload),
      method: 'PATCH',
      url: session.location,
      headers: {
        'content-type': 'application/octet-stream',
        // without a length it goes as `transfer-encoding: chunked`
        ...(length === undefined ? {} : { 'content-length': String(length) }),
        // whole streams go without: some registries take a range for the sign of small chunks
        ...(end === undefined || length === size ? {} : { 'content-range': `${start}-${end - 1}` }),
      },
      body: () => this.#hashed(start, end),
      // 201 is what ECR answers to a chunk
      accept: [201, 202, 204, 404, 416, ...REFUSALS],
      isPatient: true,
    });
    await response.discard();
    const { status } = response;
    if (start > 0 && REFUSALS.has(status)) this.#partBytes = Number.POSITIVE_INFINITY;
    if (status === 404 || (start > 0 && REFUSALS.has(status))) throw this.#lost();
    if (REFUSALS.has(status)) return false;
    const position = this.#progress?.position ?? 0;
    const received = status === 416 ? start : (this.#acknowledged(session, response) ?? position);
    this.offset = received <= 1 && position <= 1 ? position : received;
    if (this.offset < position || (end !== undefined && this.offset <= start)) {
      throw new TransientError('REGISTRY_ERROR', `${this.#context.name}: the registry took ${this.offset} of ${position} bytes`);
    }
    return true;
  }

  /** A request body that is hashed on its way, but for what was hashed before. */
  async *#hashed(start: number, end: number | undefined): AsyncGenerator<Uint8Array, void, undefined> {
    const { source, call } = this.#upload;
    const length = end === undefined ? undefined : end - start;
    const body = (this.#bodies += 1);
    await this.#progress?.updated.catch(() => undefined);
    if (this.#bodies !== body) return;
    // a source that starts over may have changed meanwhile
    if (start === 0 || this.#progress === undefined) this.#restart();
    const progress = this.#progress;
    if (progress === undefined) return;
    const range = end === undefined || length === source.size ? undefined : { start, end };
    let position = start;
    for await (const chunk of this.#sized(source.open(range, call.signal), length)) {
      // the request has ended, another one may be hashing
      if (this.#bodies !== body) return;
      const fresh = chunk.subarray(Math.max(0, progress.position - position));
      position += chunk.byteLength;
      if (fresh.byteLength > 0) {
        progress.position += fresh.byteLength;
        progress.updated = progress.digester.update(fresh);
        await progress.updated;
      }
      yield chunk;
    }
  }

  #sized(bytes: Bytes, length: number | undefined): Bytes {
    return length === undefined ? bytes : exactly(bytes, length, this.#context.name);
  }

  #restart(): void {
    this.#progress?.digester.abandon();
    const digester = new StreamDigester('sha256', this.#upload.source.size);
    this.#progress = { digester, position: 0, updated: Promise.resolve() };
  }

  async #describe(): Promise<Descriptor> {
    // nothing was sent: an empty blob
    if (this.#progress === undefined) this.#restart();
    const { digester, position } = this.#progress as Progress;
    return { mediaType: this.#upload.mediaType, digest: await digester.digest(), size: position };
  }

  /** Takes over the registry's Location and its Range, which is undefined if it does not say. */
  #acknowledged(session: UploadSession, response: TransportResponse): number | undefined {
    const location = response.header('location');
    if (location !== undefined) session.location = uploadLocation(location, session.location, this.#context.endpoint);
    const received = receivedBytes(response.header('range'), this.#context.name);
    const position = this.#progress?.position ?? 0;
    if (received === undefined || received <= Math.max(1, position)) return received;
    throw new KitError('REGISTRY_ERROR', `${this.#context.name}: the registry acknowledges ${received} bytes of ${position}`);
  }

  #lost(): TransientError {
    this.#session = undefined;
    this.offset = 0;
    this.#blob = undefined;
    return new TransientError('REGISTRY_ERROR', `${this.#context.name}: the registry has lost the upload`, { hint: 'push again' });
  }

  #stored(blob: Descriptor): Descriptor {
    this.#session = undefined;
    return blob;
  }

  async #cancel(): Promise<void> {
    const session = this.#session;
    this.#session = undefined;
    this.offset = 0;
    this.#blob = undefined;
    if (session !== undefined) await cancelUpload(this.#context, {}, session);
  }
}
