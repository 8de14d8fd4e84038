import type { BlobSource } from '../blobs/source.ts';
import { KitError } from '../errors.ts';
import type { CallOptions } from '../events.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { type RepositoryContext, repositoryScope, repositoryUrl, subjectOf, writing } from './context.ts';
import type { RegistryRequest } from './http.ts';
import { uploadLocation, withQuery } from './location.ts';

/** What is to be uploaded. */
export interface Upload {
  readonly blob: Descriptor;
  readonly source: BlobSource;
  readonly call: CallOptions;
}

/** An upload that the registry waits for (distribution spec, "Pushing blobs"). */
export interface UploadSession {
  /** Where the next request goes: changes with each answer. */
  location: URL;
  /** OCI-Chunk-Min-Length: every chunk but the last has to have so many bytes. */
  readonly minimumChunk: number;
}

const CANCEL_TIMEOUT_MS = 5000;

/** The fields that the requests of an upload share. The steps are retried by whoever knows what has arrived. */
export function uploading(
  context: RepositoryContext,
  { blob, call }: Omit<Upload, 'source'>,
): Pick<RegistryRequest, 'endpoint' | 'scopes' | 'call' | 'subject' | 'isRetried'> {
  return { ...writing(context, call), subject: subjectOf(context, 'upload', blob.digest), isRetried: false };
}

/** POST /v2/NAME/blobs/uploads/ */
export async function startUpload(context: RepositoryContext, upload: Upload, isRetried: boolean): Promise<UploadSession> {
  const url = repositoryUrl(context, 'blobs/uploads/');
  const response = await context.http.request({
    ...uploading(context, upload),
    method: 'POST',
    url,
    headers: { 'content-length': '0' },
    accept: [202],
    isRetried,
  });
  await response.discard();
  const minimum = Number(response.header('oci-chunk-min-length'));
  return {
    location: uploadLocation(response.header('location'), url, context.endpoint),
    minimumChunk: Number.isSafeInteger(minimum) && minimum > 0 ? minimum : 0,
  };
}

/** Tells the registry to forget the session. Best effort: what failed before is the error that counts. */
export async function cancelUpload(
  context: RepositoryContext,
  { blob }: Pick<Upload, 'blob'>,
  { location }: Pick<UploadSession, 'location'>,
): Promise<void> {
  try {
    const response = await context.http.request({
      // not the caller's signal: it may be the reason for the cancellation
      ...uploading(context, { blob, call: { signal: AbortSignal.timeout(CANCEL_TIMEOUT_MS) } }),
      method: 'DELETE',
      url: location,
      accept: [200, 202, 204, 404, 405],
    });
    await response.discard();
  } catch {
    // registries drop forgotten sessions after a while
  }
}

/**
 * POST /v2/NAME/blobs/uploads/?mount=DIGEST&from=REPOSITORY. True when the blob is there without moving bytes; false
 * when the registry wants an upload, or does not let this account read `from`.
 * @param from path of a repository on the same registry
 */
export async function mountBlob(context: RepositoryContext, blob: Descriptor, from: string, call: CallOptions): Promise<boolean> {
  const url = repositoryUrl(context, 'blobs/uploads/');
  const response = await context.http.request({
    ...uploading(context, { blob, call }),
    scopes: [repositoryScope(context, 'pull', 'push'), `repository:${from}:pull`],
    method: 'POST',
    url: withQuery(url, `mount=${encodeURIComponent(blob.digest)}&from=${encodeURIComponent(from)}`),
    headers: { 'content-length': '0' },
    accept: [201, 202, 400, 401, 403, 404, 405],
    isRetried: true,
  });
  await response.discard();
  if (response.status === 201) return true;
  if (response.status === 202) {
    const location = uploadLocation(response.header('location'), url, context.endpoint);
    await cancelUpload(context, { blob }, { location });
  }
  return false;
}

/** The number of bytes that a registry has, from its `Range: 0-LAST`. @throws KitError REGISTRY_ERROR */
export function receivedBytes(range: string | undefined, name: string): number | undefined {
  if (range === undefined) return undefined;
  const last = /^(?:bytes=)?0-(\d{1,15})$/.exec(range.trim())?.[1];
  if (last === undefined) throw new KitError('REGISTRY_ERROR', `${name}: the registry answers an upload with a malformed Range`);
  return Number(last) + 1;
}
