import { isKitError, KitError } from '../errors.ts';
import type { RepositoryContext } from './context.ts';
import { hasBlob } from './download.ts';
import { exactly } from './exactly.ts';
import { uploadLocation } from './location.ts';
import { Setbacks } from './setbacks.ts';
import { TransientError } from './transient.ts';
import type { TransportResponse } from './transport.ts';
import type { UploadKey } from './upload-records.ts';
import {
  askUpload,
  cancelUpload,
  finishUpload,
  PATCH_REFUSALS,
  receivedBytes,
  startUpload,
  type Upload,
  uploading,
  type UploadSession,
} from './upload-session.ts';

/** Below this, smaller chunks would not help against a size limit. */
const SMALLEST_CHUNK_BYTES = 512 * 1024;
const LAST_WORD_TIMEOUT_MS = 5000;

/**
 * PATCH after PATCH in order, then an empty PUT. What the registry acknowledges decides where the next chunk begins, also for
 * what an earlier run has sent. False when the registry does not take chunks; nothing was stored then.
 */
export async function sendInChunks(context: RepositoryContext, upload: Upload, chunkSize: number): Promise<boolean> {
  const chunked = new ChunkedUpload(context, upload, chunkSize);
  const setbacks = new Setbacks({ ...upload.call, sleep: context.http.sleep, id: upload.blob.digest });
  try {
    for (;;) {
      try {
        return await chunked.attempt();
      } catch (error) {
        await setbacks.endure(error, chunked.offset);
      }
    }
  } catch (error) {
    await chunked.abandon(error);
    throw error;
  }
}

class ChunkedUpload {
  /** Bytes that the registry has acknowledged in this session. */
  offset = 0;
  readonly #context: RepositoryContext;
  readonly #upload: Upload;
  readonly #key: UploadKey;
  #chunkSize: number;
  #session: UploadSession | undefined;
  /** The session holds bytes that arrived before something broke. */
  #isResumed = false;
  #mayResume = true;
  /** All bytes were acknowledged and the end was sent. */
  #isEnding = false;

  constructor(context: RepositoryContext, upload: Upload, chunkSize: number) {
    this.#context = context;
    this.#upload = upload;
    this.#chunkSize = chunkSize;
    this.#key = { registry: context.endpoint.registry, path: context.path, digest: upload.blob.digest };
  }

  get #name(): string {
    return `${this.#context.name}@${this.#upload.blob.digest}`;
  }

  async attempt(): Promise<boolean> {
    const { blob, call } = this.#upload;
    // the answer may have been lost after the blob was stored
    if (this.#isEnding && (await hasBlob(this.#context, blob, call))) return await this.#done(true);
    const session = (await this.#resume()) ?? (await this.#begin());
    while (this.offset < blob.size) {
      if (await this.#sendChunk(session)) continue;
      await this.#giveUp();
      return false;
    }
    this.#isEnding = true;
    try {
      if (await finishUpload(this.#context, this.#upload, session)) return await this.#done(true);
    } catch (error) {
      // what was there may not have been ours
      if (!this.#isResumed || !isKitError(error, 'DIGEST_MISMATCH')) throw error;
      this.#mayResume = false;
    }
    throw this.#lost();
  }

  /** After a failure that is final: a session with bytes of use is left to a later run, any other is cancelled. */
  async abandon(error: unknown): Promise<void> {
    const session = this.#session;
    if (session === undefined) return;
    const isUseless = isKitError(error, 'DIGEST_MISMATCH', 'SIZE_MISMATCH', 'SOURCE_CHANGED') || !this.#context.http.uploads.isKept;
    if (isUseless || (await this.#hasNothing(session))) await this.#giveUp();
    else await this.#context.http.uploads.release(this.#key, true);
  }

  /** Asks how much has arrived, of this run's session or of one that an earlier run left. Undefined when nothing can be gone on with. */
  async #resume(): Promise<UploadSession | undefined> {
    const session = this.#session ?? (await this.#left());
    if (session === undefined) return undefined;
    this.#session = session;
    const response = await askUpload(this.#context, this.#upload, session);
    const received = response.status >= 400 ? undefined : this.#acknowledged(session, response);
    // `0-0` stands for no byte as well as for one
    if (received === undefined || received <= 1) return undefined;
    this.offset = received;
    this.#isResumed = true;
    await this.#context.http.uploads.keep(this.#key, session.location);
    return session;
  }

  async #left(): Promise<UploadSession | undefined> {
    if (!this.#mayResume) return undefined;
    this.#mayResume = false;
    const left = await this.#context.http.uploads.take(this.#key);
    if (left === undefined) return undefined;
    const { endpoint } = this.#context;
    try {
      return { location: uploadLocation(left, new URL(endpoint.origin), endpoint), minimumChunk: 0 };
    } catch {
      // the registry was reached in another way then
      return undefined;
    }
  }

  async #begin(): Promise<UploadSession> {
    await this.#giveUp();
    const session = await startUpload(this.#context, this.#upload, false);
    this.#session = session;
    this.#chunkSize = Math.max(this.#chunkSize, session.minimumChunk, 1);
    await this.#context.http.uploads.keep(this.#key, session.location);
    return session;
  }

  /** False when the registry does not take chunks. */
  async #sendChunk(session: UploadSession): Promise<boolean> {
    const { blob, source, call } = this.#upload;
    const start = this.offset;
    const end = Math.min(start + this.#chunkSize, blob.size);
    const smaller = this.#smallerChunk(session);
    const response = await this.#context.http.request({
      ...uploading(this.#context, this.#upload),
      method: 'PATCH',
      url: session.location,
      headers: {
        'content-type': 'application/octet-stream',
        'content-length': String(end - start),
        'content-range': `${start}-${end - 1}`,
      },
      body: () => exactly(source.open({ start, end }, call.signal), end - start, blob.digest),
      // 201 is what ECR answers to a chunk
      accept: [201, 202, 204, 404, 416, ...PATCH_REFUSALS, ...(smaller === undefined ? [] : [413])],
      isPatient: true,
    });
    await response.discard();
    const { status } = response;
    if (status === 404) throw this.#lost();
    if (status === 413 && smaller !== undefined) {
      this.#chunkSize = smaller;
      return true;
    }
    if (PATCH_REFUSALS.includes(status) || (status === 416 && start === 0)) return false;
    if (status === 416) throw this.#stuck();
    this.offset = this.#acknowledged(session, response) ?? end;
    if (this.offset <= start) throw this.#stuck();
    await this.#context.http.uploads.keep(this.#key, session.location);
    return true;
  }

  /** What to try where a chunk is too large; undefined when that would not help. */
  #smallerChunk({ minimumChunk }: UploadSession): number | undefined {
    const smaller = Math.max(Math.floor(this.#chunkSize / 2), minimumChunk);
    return smaller < SMALLEST_CHUNK_BYTES || smaller >= this.#chunkSize ? undefined : smaller;
  }

  /** Takes over the registry's Location and its Range, which is undefined if it does not say. */
  #acknowledged(session: UploadSession, response: TransportResponse): number | undefined {
    const location = response.header('location');
    if (location !== undefined) session.location = uploadLocation(location, session.location, this.#context.endpoint);
    const received = receivedBytes(response.header('range'), this.#name);
    const { size } = this.#upload.blob;
    if (received === undefined || received <= Math.max(1, size)) return received === undefined ? undefined : Math.min(received, size);
    throw new KitError('REGISTRY_ERROR', `${this.#name}: the registry acknowledges ${received} bytes of ${size}`);
  }

  #stuck(): TransientError {
    return new TransientError('REGISTRY_ERROR', `${this.#name}: the upload does not advance beyond byte ${this.offset}`);
  }

  #reset(): void {
    this.#session = undefined;
    this.offset = 0;
    this.#isEnding = false;
    this.#isResumed = false;
  }

  #lost(): TransientError {
    this.#reset();
    return new TransientError('REGISTRY_ERROR', `${this.#name}: the registry has lost the upload`, { hint: 'push again' });
  }

  async #hasNothing(session: UploadSession): Promise<boolean> {
    try {
      const call = { signal: AbortSignal.timeout(LAST_WORD_TIMEOUT_MS) };
      const response = await askUpload(this.#context, { blob: this.#upload.blob, call }, session);
      const received = response.status >= 400 ? undefined : this.#acknowledged(session, response);
      if (received === undefined || received <= 1) return true;
      await this.#context.http.uploads.keep(this.#key, session.location);
      return false;
    } catch {
      // nobody can tell now: the next run will ask again
      return false;
    }
  }

  async #giveUp(): Promise<void> {
    const session = this.#session;
    this.#reset();
    await this.#done(false);
    if (session !== undefined) await cancelUpload(this.#context, this.#upload, session);
  }

  async #done<T>(result: T): Promise<T> {
    await this.#context.http.uploads.release(this.#key, false);
    return result;
  }
}
