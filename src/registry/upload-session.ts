import type { BlobSource } from '../blob-source.ts';
import { KitError } from '../errors.ts';
import type { CallOptions } from '../events.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { type Digest, digestAlgorithm, isDigest } from '../oci/digest.ts';
import { type RepositoryContext, repositoryScope, repositoryUrl, subjectOf, writing } from './context.ts';
import type { RegistryRequest } from './http.ts';
import { uploadLocation, withQuery } from './location.ts';
import type { TransportResponse } from './transport.ts';

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
/** What registries and proxies answer to a PATCH that they do not take: with a body of no length, with a range, or at all. */
export const PATCH_REFUSALS: readonly number[] = [400, 405, 411, 501];

/** What the requests of an upload are about: the digest is not known before the bytes went by. */
interface UploadSubject {
  readonly blob?: Pick<Descriptor, 'digest'> | undefined;
  readonly call: CallOptions;
}

/** The fields that the requests of an upload share. The steps are retried by whoever knows what has arrived. */
export function uploading(
  context: RepositoryContext,
  { blob, call }: UploadSubject,
): Pick<RegistryRequest, 'endpoint' | 'scopes' | 'call' | 'subject' | 'isRetried'> {
  const subject = blob === undefined ? ({ kind: 'upload', name: context.name } as const) : subjectOf(context, 'upload', blob.digest);
  return { ...writing(context, call), subject, isRetried: false };
}

/** POST /v2/NAME/blobs/uploads/ */
export async function startUpload(context: RepositoryContext, upload: UploadSubject, isRetried: boolean): Promise<UploadSession> {
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

/** GET of the Location: the answer tells what has arrived, or with 4xx that there is no such session (any more). */
export async function askUpload(
  context: RepositoryContext,
  upload: UploadSubject,
  { location }: Pick<UploadSession, 'location'>,
): Promise<TransportResponse> {
  const response = await context.http.request({
    ...uploading(context, upload),
    method: 'GET',
    url: location,
    // of a Location that is signed the signature may have run out
    accept: [200, 202, 204, 400, 401, 403, 404, 405, 410, 416],
  });
  await response.discard();
  return response;
}

/** Tells the registry to forget the session. Best effort: what failed before is the error that counts. */
export async function cancelUpload(
  context: RepositoryContext,
  { blob }: Pick<UploadSubject, 'blob'>,
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
  });
  await response.discard();
  if (response.status === 201) return true;
  if (response.status === 202) {
    const location = uploadLocation(response.header('location'), url, context.endpoint);
    await cancelUpload(context, { blob }, { location });
  }
  return false;
}

/** PUT of the session's end. True when the blob is stored, false when the registry has no such session (any more). */
export async function finishUpload(
  context: RepositoryContext,
  upload: { readonly blob: Descriptor; readonly call: CallOptions },
  { location }: Pick<UploadSession, 'location'>,
): Promise<boolean> {
  const { digest } = upload.blob;
  const response = await context.http.request({
    ...uploading(context, upload),
    method: 'PUT',
    url: withQuery(location, `digest=${encodeURIComponent(digest)}`),
    headers: { 'content-type': 'application/octet-stream', 'content-length': '0' },
    accept: [201, 404],
    isPatient: true,
  });
  await response.discard();
  if (response.status === 201) confirmDigest(context, digest, response);
  return response.status === 201;
}

/** A registry that says which digest it stored has to name ours. @throws KitError DIGEST_MISMATCH */
export function confirmDigest(context: RepositoryContext, digest: Digest, response: TransportResponse): void {
  const stored = response.header('docker-content-digest');
  // it may go by another algorithm
  if (!isDigest(stored) || digestAlgorithm(stored) !== digestAlgorithm(digest) || stored === digest) return;
  throw new KitError('DIGEST_MISMATCH', `${context.name}@${digest}: the registry says that it stored ${stored}`, {
    hint: 'the content was changed on its way; push again, and suspect a proxy before the registry',
  });
}

/** The number of bytes that a registry has, from its `Range: 0-LAST`. @throws KitError REGISTRY_ERROR */
export function receivedBytes(range: string | undefined, name: string): number | undefined {
  if (range === undefined) return undefined;
  const last = /^(?:bytes=)?0-(\d{1,15})$/.exec(range.trim())?.[1];
  if (last === undefined) throw new KitError('REGISTRY_ERROR', `${name}: the registry answers an upload with a malformed Range`);
  return Number(last) + 1;
}
