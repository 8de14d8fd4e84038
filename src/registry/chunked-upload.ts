import { KitError } from '../errors.ts';
import type { RepositoryContext } from './context.ts';
import { hasBlob } from './download.ts';
import { exactly } from './exactly.ts';
import { uploadLocation } from './location.ts';
import { releaseSent } from './release-sent.ts';
import { withRetry } from './retry.ts';
import type { TransportResponse } from './transport.ts';
import { cancelUpload, finishUpload, receivedBytes, startUpload, type Upload, uploading, type UploadSession } from './upload-session.ts';

/** Below this, smaller chunks would not help against a size limit. */
const SMALLEST_CHUNK_BYTES = 512 * 1024;
/** Answers in a row that acknowledge nothing new. */
const MAX_STALLS = 3;

interface ChunkedUpload extends Upload {
  readonly context: RepositoryContext;
  readonly session: UploadSession;
  /** Bytes that the registry has acknowledged. */
  offset: number;
  chunkSize: number;
  stalls: number;
}

/** PATCH after PATCH in order, then an empty PUT. What the registry acknowledges decides where the next chunk begins. */
export async function sendInChunks(context: RepositoryContext, upload: Upload, chunkSize: number): Promise<void> {
  const { blob, call } = upload;
  const session = await startUpload(context, upload, true);
  const state: ChunkedUpload = {
    ...upload,
    context,
    session,
    offset: 0,
    chunkSize: Math.max(chunkSize, session.minimumChunk, 1),
    stalls: 0,
  };
  const retry = { ...call, sleep: context.http.sleep, id: blob.digest };
  try {
    while (state.offset < blob.size) {
      await withRetry(async (attempt) => {
        // after a lost answer only the registry knows how much has arrived
        if (attempt > 1) await askProgress(state);
        if (state.offset < blob.size) await sendChunk(state);
      }, retry);
    }
    await withRetry((attempt) => finish(state, attempt), retry);
  } catch (error) {
    await cancelUpload(context, upload, session);
    throw error;
  }
}

async function sendChunk(state: ChunkedUpload): Promise<void> {
  const { context, session, blob, source, call, offset: start } = state;
  const end = Math.min(start + state.chunkSize, blob.size);
  const response = await context.http.request({
    ...uploading(context, state),
    method: 'PATCH',
    url: session.location,
    headers: {
      'content-type': 'application/octet-stream',
      'content-length': String(end - start),
      'content-range': `${start}-${end - 1}`,
    },
    body: () => releaseSent(exactly(source.open({ start, end }, call.signal), end - start, blob.digest)),
    // 201 is what ECR answers to a chunk
    accept: [201, 202, 204, 413, 416],
    isPatient: true,
  });
  await response.discard();
  if (response.status === 413) return shrinkChunks(state);
  if (response.status === 416) return askProgress(state);
  advance(state, response, end);
}

function shrinkChunks(state: ChunkedUpload): void {
  const { chunkSize, session, context } = state;
  const smaller = Math.max(Math.floor(chunkSize / 2), session.minimumChunk);
  if (smaller < SMALLEST_CHUNK_BYTES || smaller >= chunkSize) {
    const message = `${context.name}: the registry, or a proxy before it, refuses chunks of ${chunkSize} bytes as too large`;
    throw new KitError('REGISTRY_ERROR', message, { hint: 'raise the limit of the body size at the registry or its proxy' });
  }
  state.chunkSize = smaller;
}

/** GET of the upload location tells what has arrived. */
async function askProgress(state: ChunkedUpload): Promise<void> {
  const { context, session } = state;
  const response = await context.http.request({
    ...uploading(context, state),
    method: 'GET',
    url: session.location,
    accept: [200, 202, 204],
  });
  await response.discard();
  advance(state, response, state.offset);
}

/** Takes over the registry's Location and Range. `expected` is what it has if it does not say. */
function advance(state: ChunkedUpload, response: TransportResponse, expected: number): void {
  const { context, session, blob } = state;
  const location = response.header('location');
  if (location !== undefined) session.location = uploadLocation(location, session.location, context.endpoint);
  const name = `${context.name}@${blob.digest}`;
  const range = receivedBytes(response.header('range'), name);
  // `0-0` stands for no byte as well as for one
  const received = range === undefined || (range === 1 && expected === 0) ? expected : range;
  if (received > blob.size) throw new KitError('REGISTRY_ERROR', `${name}: the registry acknowledges ${received} bytes of ${blob.size}`);
  state.stalls = received > state.offset ? 0 : state.stalls + 1;
  if (state.stalls > MAX_STALLS) {
    throw new KitError('REGISTRY_ERROR', `${name}: the upload does not advance beyond byte ${state.offset}`);
  }
  state.offset = received;
}

async function finish(state: ChunkedUpload, attempt: number): Promise<void> {
  const { context, session, blob, call } = state;
  // the answer may have been lost after the blob was stored
  if (attempt > 1 && (await hasBlob(context, blob, call))) return;
  if (await finishUpload(context, state, session)) return;
  throw new KitError('REGISTRY_ERROR', `${context.name}@${blob.digest}: the registry has lost the upload`, { hint: 'push again' });
}
