import type { BlobSource, Bytes } from '../blobs/source.ts';
import { KitError } from '../errors.ts';
import type { CallOptions } from '../events.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { StreamDigester } from '../oci/stream-digester.ts';
import type { RepositoryContext } from './context.ts';
import { hasBlob } from './download.ts';
import { exactly } from './exactly.ts';
import { uploadLocation } from './location.ts';
import { releaseSent } from './release-sent.ts';
import { MAX_RETRIES, pause } from './retry.ts';
import { TransientError } from './transient.ts';
import type { TransportResponse } from './transport.ts';
import { cancelUpload, finishUpload, receivedBytes, startUpload, uploading, type UploadSession } from './upload-session.ts';

/** A blob whose digest is not known before its bytes went by. */
export interface UnhashedUpload {
  readonly mediaType: string;
  readonly source: BlobSource;
  readonly call: CallOptions;
}

/** Failures further apart than this are counted anew: a large blob may meet many on its way. */
const PROGRESS_BYTES = 1024 * 1024;
/** What registries and proxies answer to a body that is too large, has no length, or comes in a way they do not take. */
const REFUSALS: ReadonlySet<number> = new Set([400, 405, 411, 413, 501]);

/**
 * Uploads a blob in one pass: POST, one PATCH with all of it while the digest is computed, PUT with the digest.
 * What breaks goes on where the registry says it is, if the source has a known size and so can be opened there; else it starts over.
 * Undefined when the registry, or a proxy before it, does not take a blob in this way: nothing was stored then.
 * @throws KitError SIZE_MISMATCH when the source has another size, DIGEST_MISMATCH, DENIED, UNAUTHORIZED, REGISTRY_ERROR, NETWORK;
 * what the source throws
 */
export async function uploadUnhashed(context: RepositoryContext, upload: UnhashedUpload): Promise<Descriptor | undefined> {
  if (context.chunkSize !== undefined) return undefined;
  const stream = new StreamUpload(context, upload);
  const retry = { ...upload.call, sleep: context.http.sleep, id: context.name };
  let failures = 0;
  let failedAt = 0;
  try {
    for (;;) {
      retry.signal?.throwIfAborted();
      try {
        return await stream.attempt();
      } catch (error) {
        retry.signal?.throwIfAborted();
        failures = stream.offset - failedAt >= PROGRESS_BYTES ? 1 : failures + 1;
        failedAt = stream.offset;
        if (!(error instanceof TransientError) || failures > MAX_RETRIES) throw error;
        await pause(failures, error, retry);
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

  constructor(context: RepositoryContext, upload: UnhashedUpload) {
    this.#context = context;
    this.#upload = upload;
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
    this.#session = await startUpload(this.#context, this.#upload, false);
    return this.#session;
  }

  /** Asks how much of a broken upload has arrived. Undefined when it cannot go on from there. */
  async #resume(): Promise<UploadSession | undefined> {
    const session = this.#session;
    const size = this.#upload.source.size;
    if (session === undefined || size === undefined || this.#progress === undefined) return undefined;
    const response = await this.#context.http.request({
      ...uploading(this.#context, this.#upload),
      method: 'GET',
      url: session.location,
      accept: [200, 202, 204, 400, 404, 405, 416],
    });
    await response.discard();
    if (response.status >= 400) return undefined;
    const received = this.#acknowledged(session, response);
    // `0-0` stands for no byte as well as for one
    if (received === undefined || received <= 1) return undefined;
    this.offset = received;
    return session;
  }

  /** The bytes from the acknowledged offset on, as one PATCH. False when it is refused as such. */
  async #send(session: UploadSession): Promise<boolean> {
    const { size } = this.#upload.source;
    const start = this.offset;
    if (start === size) return true;
    const length = size === undefined ? undefined : size - start;
    const response = await this.#context.http.request({
      ...uploading(this.#context, this.#upload),
      method: 'PATCH',
      url: session.location,
      headers: {
        'content-type': 'application/octet-stream',
        // without a length it goes as `transfer-encoding: chunked`
        ...(length === undefined ? {} : { 'content-length': String(length) }),
        // whole streams go without: some registries take a range for the sign of small chunks
        ...(start === 0 || size === undefined ? {} : { 'content-range': `${start}-${size - 1}` }),
      },
      body: () => releaseSent(this.#hashed(start, length)),
      // 201 is what ECR answers to a chunk
      accept: [201, 202, 204, 404, 416, ...REFUSALS],
      isPatient: true,
    });
    await response.discard();
    const { status } = response;
    if (status === 404 || (start > 0 && REFUSALS.has(status))) throw this.#lost();
    if (REFUSALS.has(status)) return false;
    const position = this.#progress?.position ?? 0;
    const received = status === 416 ? start : (this.#acknowledged(session, response) ?? position);
    this.offset = received <= 1 && position <= 1 ? position : received;
    if (this.offset < position) {
      throw new TransientError('REGISTRY_ERROR', `${this.#context.name}: the registry took ${this.offset} of ${position} bytes`);
    }
    return true;
  }

  /** A request body that is hashed on its way, but for what was hashed before. */
  async *#hashed(start: number, length: number | undefined): AsyncGenerator<Uint8Array, void, undefined> {
    const { source, call } = this.#upload;
    const body = (this.#bodies += 1);
    await this.#progress?.updated.catch(() => undefined);
    if (this.#bodies !== body) return;
    // a source that starts over may have changed meanwhile
    if (start === 0 || this.#progress === undefined) this.#restart();
    const progress = this.#progress;
    if (progress === undefined) return;
    const range = start === 0 || length === undefined ? undefined : { start, end: start + length };
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
