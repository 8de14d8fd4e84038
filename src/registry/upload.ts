import { KitError } from '../errors.ts';
import { chunkSizeFor } from './chunk-size.ts';
import { sendInChunks } from './chunked-upload.ts';
import type { RepositoryContext } from './context.ts';
import { hasBlob } from './download.ts';
import { exactly } from './exactly.ts';
import { withQuery } from './location.ts';
import { withRetry } from './retry.ts';
import { cancelUpload, confirmDigest, startUpload, type Upload, uploading } from './upload-session.ts';

/** Chunks for a host that refuses a whole blob in one request, where none are configured. */
const FALLBACK_CHUNK_BYTES = 16 * 1024 * 1024;

/**
 * Uploads a blob in one PUT, or in chunks where it is large, where they are configured, and where the registry refuses the PUT as
 * too large (413). Memory stays constant; the source is opened again for each attempt. The registry checks the digest.
 * @throws KitError SIZE_MISMATCH when the source has another size, DIGEST_MISMATCH when the registry says so, DENIED,
 * UNAUTHORIZED, REGISTRY_ERROR, NETWORK; what the source throws
 */
export async function uploadBlob(context: RepositoryContext, upload: Upload): Promise<void> {
  const { blob, call } = upload;
  const chunkSize = chunkSizeFor(context, blob.size);
  if (blob.size > chunkSize && (await sendInChunks(context, upload, chunkSize))) return;
  const { chunks } = context.endpoint.rules;
  const smaller = chunks === 'never' ? undefined : Math.min(FALLBACK_CHUNK_BYTES, chunks?.maximum ?? FALLBACK_CHUNK_BYTES);
  const retry = { ...call, sleep: context.http.sleep, id: blob.digest };
  if (await withRetry((attempt) => sendWhole(context, upload, { attempt, isFinal: smaller === undefined }), retry)) return;
  if (smaller !== undefined && (await sendInChunks(context, upload, smaller))) return;
  throw new KitError('REGISTRY_ERROR', `${context.name}@${blob.digest}: too large for the registry, which takes no chunks either`, {
    hint: 'raise the limit of the body size at the registry or its proxy',
  });
}

/** One attempt, in a session of its own: a failed PUT leaves its session in an unknown state. False when it is too large, unless that `isFinal`. */
async function sendWhole(
  context: RepositoryContext,
  upload: Upload,
  { attempt, isFinal }: { readonly attempt: number; readonly isFinal: boolean },
): Promise<boolean> {
  const { blob, source, call } = upload;
  // the answer may have been lost after all bytes arrived
  if (attempt > 1 && (await hasBlob(context, blob, call))) return true;
  const session = await startUpload(context, upload, false);
  try {
    const response = await context.http.request({
      ...uploading(context, upload),
      method: 'PUT',
      url: withQuery(session.location, `digest=${encodeURIComponent(blob.digest)}`),
      headers: { 'content-type': 'application/octet-stream', 'content-length': String(blob.size) },
      body: blob.size === 0 ? undefined : () => exactly(source.open(undefined, call.signal), blob.size, blob.digest),
      accept: isFinal ? [201] : [201, 413],
      isPatient: true,
    });
    await response.discard();
    if (response.status === 201) confirmDigest(context, blob.digest, response);
    if (response.status === 413) await cancelUpload(context, upload, session);
    return response.status === 201;
  } catch (error) {
    await cancelUpload(context, upload, session);
    throw error;
  }
}
