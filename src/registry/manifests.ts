import { KitError } from '../errors.ts';
import type { CallOptions } from '../events.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { type Digest, digestAlgorithm, digestOf, isDigest } from '../oci/digest.ts';
import { sniffManifestType } from '../oci/manifest.ts';
import { MAX_METADATA_BYTES, MEDIA_TYPE } from '../oci/media-types.ts';
import { readLimited } from './body.ts';
import { reading, type RepositoryContext, repositoryScope, repositoryUrl, subjectOf, writing } from './context.ts';
import type { RegistryRequest } from './http.ts';
import { plainText } from './redact.ts';
import type { TransportResponse } from './transport.ts';

export interface FetchedManifest {
  readonly descriptor: Descriptor;
  /** As sent: its digest is the descriptor's. */
  readonly bytes: Uint8Array;
  /** The ETag, where the registry gives one: what a conditional PUT may name. */
  readonly etag: string | undefined;
}

/** A manifest on its way to a registry. */
export interface OutgoingManifest {
  readonly mediaType: string;
  readonly bytes: Uint8Array;
}

const ACCEPT = [MEDIA_TYPE.imageManifest, MEDIA_TYPE.imageIndex, MEDIA_TYPE.dockerManifest, MEDIA_TYPE.dockerManifestList].join(', ');
const TAG = /^\w[\w.-]{0,127}$/;

/**
 * GET /v2/NAME/manifests/REFERENCE. The digest is computed from the bytes and compared with the reference and with
 * Docker-Content-Digest.
 * @throws KitError REFERENCE_NOT_FOUND | DIGEST_MISMATCH | LIMIT_EXCEEDED | MANIFEST_INVALID
 */
export async function fetchManifest(context: RepositoryContext, reference: string, call: CallOptions): Promise<FetchedManifest> {
  const request = manifestRequest(context, 'GET', reference, call);
  const response = await context.http.request({ ...request, accept: [200] });
  const { name } = request.subject;
  const bytes = await readLimited(response.body, MAX_METADATA_BYTES, name);
  const announced = announcedDigest(response, name);
  const expected = isDigest(reference) ? reference : announced;
  for (const digest of [expected, announced]) if (digest !== undefined) checkDigest(bytes, digest, name);
  const digest = expected ?? digestOf(bytes);
  const mediaType = contentType(response) ?? sniffManifestType(bytes, name);
  return { descriptor: { mediaType, digest, size: bytes.byteLength }, bytes, etag: response.header('etag') };
}

/**
 * The descriptor behind a tag or digest, by HEAD where the answer says all, else by GET.
 * @throws KitError REFERENCE_NOT_FOUND and those of fetchManifest
 */
export async function resolveManifest(context: RepositoryContext, reference: string, call: CallOptions): Promise<Descriptor> {
  const request = manifestRequest(context, 'HEAD', reference, call);
  // an error to HEAD has no body: GET finds out what the registry has to say
  const response = await context.http.request({ ...request, accept: [200, 400, 403, 404, 405, 406, 500, 501] });
  await response.discard();
  return (
    (response.status === 200 ? described(response, reference, request.subject.name) : undefined) ??
    (await fetchManifest(context, reference, call)).descriptor
  );
}

/** Undefined when the headers leave something open. */
function described(response: TransportResponse, reference: string, name: string): Descriptor | undefined {
  const digest = announcedDigest(response, name);
  const size = Number(response.header('content-length') ?? Number.NaN);
  const mediaType = contentType(response);
  if (digest === undefined || mediaType === undefined || !Number.isSafeInteger(size) || size === 0) return undefined;
  // another algorithm's digest says nothing about the one that was asked for
  if (isDigest(reference) && digest !== reference) {
    if (digestAlgorithm(digest) !== digestAlgorithm(reference)) return undefined;
    throw mismatch(name, digest);
  }
  if (size > MAX_METADATA_BYTES)
    throw new KitError('LIMIT_EXCEEDED', `${name}: a manifest of ${size} bytes, the limit is ${MAX_METADATA_BYTES}`);
  return { mediaType, digest, size };
}

export async function hasManifest(context: RepositoryContext, digest: Digest, call: CallOptions): Promise<boolean> {
  const response = await context.http.request({ ...manifestRequest(context, 'HEAD', digest, call), accept: [200, 404] });
  await response.discard();
  return response.status === 200;
}

/**
 * PUT /v2/NAME/manifests/REFERENCE. Returns the subject that the registry has taken note of (OCI-Subject), if any.
 * @throws KitError BLOB_NOT_FOUND when the registry lacks what the manifest names
 */
export async function putManifest(
  context: RepositoryContext,
  reference: string,
  manifest: OutgoingManifest,
  call: CallOptions,
): Promise<string | undefined> {
  const response = await sendManifest(context, reference, manifest, { accept: [200, 201, 202], call });
  return response.header('oci-subject');
}

/**
 * The same, sent once and no more: whoever replaces what he has read must read again before he repeats it.
 * `etag` makes it conditional. False when the registry says that something else stands there by now.
 */
export async function replaceManifest(
  context: RepositoryContext,
  reference: string,
  manifest: OutgoingManifest,
  { etag, call }: { readonly etag: string | undefined; readonly call: CallOptions },
): Promise<boolean> {
  const headers = etag === undefined ? {} : { 'if-match': etag };
  const once = { accept: [200, 201, 202, ...(etag === undefined ? [] : [412])], headers, isRetried: false, call };
  return (await sendManifest(context, reference, manifest, once)).status !== 412;
}

interface SendOptions extends Pick<RegistryRequest, 'accept' | 'headers' | 'isRetried'> {
  readonly call: CallOptions;
}

async function sendManifest(
  context: RepositoryContext,
  reference: string,
  { mediaType, bytes }: OutgoingManifest,
  { call, headers, ...options }: SendOptions,
): Promise<TransportResponse> {
  const request = manifestRequest(context, 'PUT', reference, call);
  const response = await context.http.request({
    ...request,
    ...writing(context, call),
    ...options,
    headers: { 'content-type': mediaType, 'content-length': String(bytes.byteLength), ...headers },
    body: () => bytes,
  });
  await response.discard();
  if (response.status === 412) return response;
  // a registry that rewrites manifests would leave a tag on content that nobody has signed
  const stored = announcedDigest(response, request.subject.name);
  if (stored !== undefined) checkDigest(bytes, stored, request.subject.name);
  return response;
}

/** DELETE of a manifest by digest, and with it of its tags. @throws KitError UNSUPPORTED | REFERENCE_NOT_FOUND */
export async function deleteManifest(context: RepositoryContext, digest: Digest, call: CallOptions): Promise<void> {
  try {
    await sendDelete(context, digest, call);
  } catch (cause) {
    if (!(cause instanceof KitError) || cause.code !== 'UNSUPPORTED') throw cause;
    throw new KitError('UNSUPPORTED', `Removing models is unsupported by registry ${context.endpoint.registry}`, {
      hint:
        context.endpoint.rules.deletionHint ?? 'the registry has to be set up to allow deletion, or offers it only in its own interface',
      cause,
    });
  }
}

/** DELETE of a tag, which leaves the manifest. Optional in the distribution spec. @throws KitError UNSUPPORTED | REFERENCE_NOT_FOUND */
export async function deleteTag(context: RepositoryContext, tag: string, call: CallOptions): Promise<void> {
  // older registries take digests only, and call a tag an invalid one
  const response = await sendDelete(context, tag, call, [400, 405]);
  if (response.status !== 400 && response.status !== 405) return;
  throw new KitError('UNSUPPORTED', `${context.name}:${tag}: registry ${context.endpoint.registry} cannot remove a tag alone`, {
    hint: 'remove the manifest by its digest, which takes all its tags with it',
  });
}

async function sendDelete(
  context: RepositoryContext,
  reference: string,
  call: CallOptions,
  accept: readonly number[] = [],
): Promise<TransportResponse> {
  const response = await context.http.request({
    ...manifestRequest(context, 'DELETE', reference, call),
    scopes: [repositoryScope(context, 'pull', 'delete')],
    accept: [200, 202, 204, ...accept],
  });
  await response.discard();
  return response;
}

type ManifestRequest = Omit<RegistryRequest, 'accept' | 'body'>;

function manifestRequest(
  context: RepositoryContext,
  method: RegistryRequest['method'],
  reference: string,
  call: CallOptions,
): ManifestRequest {
  if (!isDigest(reference) && !TAG.test(reference)) {
    throw new KitError('REFERENCE_INVALID', `\`${plainText(reference)}\` is neither a tag nor a digest`);
  }
  return {
    ...reading(context, call),
    method,
    url: repositoryUrl(context, `manifests/${reference}`),
    subject: subjectOf(context, 'manifest', reference),
    headers: { accept: ACCEPT },
  };
}

function announcedDigest(response: TransportResponse, name: string): Digest | undefined {
  const header = response.header('docker-content-digest');
  if (header === undefined || header === '') return undefined;
  if (!isDigest(header))
    throw new KitError('REGISTRY_ERROR', `${name}: the registry names the digest \`${plainText(header)}\`, which is none`);
  return header;
}

function checkDigest(bytes: Uint8Array, digest: Digest, name: string): void {
  const actual = digestOf(bytes, digestAlgorithm(digest));
  if (actual !== digest) throw mismatch(name, actual, digest);
}

function mismatch(name: string, actual: Digest, announced?: Digest): KitError {
  const other = announced === undefined || name.endsWith(announced) ? '' : ` where the registry announces ${announced}`;
  return new KitError('DIGEST_MISMATCH', `${name}: the registry answers with manifest ${actual}${other}`, {
    hint: 'the registry or something on the way changes content; do not trust it',
  });
}

/** The media type without parameters; undefined when it is missing or says nothing. */
function contentType(response: TransportResponse): string | undefined {
  const type = response.header('content-type')?.split(';', 1)[0]?.trim().toLowerCase();
  const isGeneric =
    type === undefined || type === '' || ['application/json', 'application/octet-stream', 'text/plain', 'text/html'].includes(type);
  return isGeneric ? undefined : type;
}
