import type { ByteRange, Bytes } from '../blobs/source.ts';
import { KitError } from '../errors.ts';
import type { CallOptions } from '../events.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { reading, type RepositoryContext, repositoryUrl, subjectOf } from './context.ts';
import { MAX_RETRIES, pause } from './retry.ts';
import { TransientError } from './transient.ts';
import type { TransportResponse } from './transport.ts';

/** Failures further apart than this are counted anew: a large blob may meet many on its way. */
const PROGRESS_BYTES = 1024 * 1024;

/** HEAD /v2/NAME/blobs/DIGEST */
export async function hasBlob(context: RepositoryContext, blob: Descriptor, call: CallOptions): Promise<boolean> {
  const response = await context.http.request({
    ...reading(context, call),
    method: 'HEAD',
    url: repositoryUrl(context, `blobs/${blob.digest}`),
    subject: subjectOf(context, 'blob', blob.digest),
    accept: [200, 404],
  });
  await response.discard();
  return response.status === 200;
}

/**
 * GET /v2/NAME/blobs/DIGEST, of the whole blob or of `range`. The bytes are not verified here, but they are those of the
 * range: an answer that ignores it is cut to it. A download that breaks goes on where it stopped.
 * @throws KitError BLOB_NOT_FOUND | SIZE_MISMATCH | REGISTRY_ERROR | NETWORK
 */
export async function fetchBlob(
  context: RepositoryContext,
  blob: Descriptor,
  range: ByteRange | undefined,
  call: CallOptions,
): Promise<Bytes> {
  const start = Math.min(range?.start ?? 0, blob.size);
  const end = Math.min(range?.end ?? blob.size, blob.size);
  // nothing to ask for; an empty blob as a whole is still asked for, so that a missing one is noticed
  if (range !== undefined && start >= end) return nothing();
  return resumable(context, blob, { start, end }, call, await openBlob(context, blob, { start, end }, call));
}

async function* resumable(
  context: RepositoryContext,
  blob: Descriptor,
  { start, end }: ByteRange,
  call: CallOptions,
  first: Bytes,
): AsyncGenerator<Uint8Array, void, undefined> {
  let position = start;
  let bytes = first;
  let failures = 0;
  let failedAt = start;
  for (;;) {
    try {
      for await (const chunk of bytes) {
        position += chunk.byteLength;
        yield chunk;
      }
      // a surplus is passed on: whoever verifies the bytes tells
      if (position >= end) return;
      throw cutOff(context, blob, position, end);
    } catch (error) {
      call.signal?.throwIfAborted();
      failures = position - failedAt >= PROGRESS_BYTES ? 1 : failures + 1;
      failedAt = position;
      if (!(error instanceof TransientError) || failures > MAX_RETRIES) throw error;
      if (position >= end) return;
      await pause(failures, error, { ...call, sleep: context.http.sleep, id: blob.digest });
      bytes = await openBlob(context, blob, { start: position, end }, call);
    }
  }
}

async function openBlob(context: RepositoryContext, blob: Descriptor, range: ByteRange, call: CallOptions): Promise<Bytes> {
  const isPart = range.start > 0 || range.end < blob.size;
  const response = await context.http.request({
    ...reading(context, call),
    method: 'GET',
    url: repositoryUrl(context, `blobs/${blob.digest}`),
    subject: subjectOf(context, 'blob', blob.digest),
    accept: [200, 206],
    ...(isPart ? { headers: { range: `bytes=${range.start}-${range.end - 1}` } } : {}),
  });
  try {
    if (response.status === 206) return checkedPart(context, blob, range, response);
    const length = response.header('content-length');
    if (length !== undefined && Number(length) !== blob.size) {
      throw new KitError(
        'SIZE_MISMATCH',
        `${context.name}@${blob.digest}: the registry has ${length} bytes, the manifest says ${blob.size}`,
      );
    }
    return isPart ? slice(response.body, range.start, range.end) : response.body;
  } catch (error) {
    await response.discard();
    throw error;
  }
}

/** A 206 has to be the range that was asked for: anything else would put bytes in the wrong place. */
function checkedPart(context: RepositoryContext, blob: Descriptor, { start, end }: ByteRange, response: TransportResponse): Bytes {
  const header = response.header('content-range') ?? '';
  const [, first, last, total] = /^bytes (\d+)-(\d+)\/(\d+|\*)$/i.exec(header.trim()) ?? [];
  if (Number(first) !== start || Number(last) >= end || Number(last) < start || (total !== '*' && Number(total) !== blob.size)) {
    throw new KitError(
      'REGISTRY_ERROR',
      `${context.name}@${blob.digest}: asked for bytes ${start}-${end - 1} of ${blob.size}, the registry sends \`${header}\``,
    );
  }
  return slice(response.body, 0, Number(last) + 1 - start);
}

/** Bytes [start, end) of `bytes`; the rest is not read. */
async function* slice(bytes: Bytes, start: number, end: number): AsyncGenerator<Uint8Array, void, undefined> {
  let position = 0;
  if (end === 0) return;
  for await (const chunk of bytes) {
    const from = Math.max(0, start - position);
    const to = Math.min(chunk.byteLength, end - position);
    position += chunk.byteLength;
    if (from < to) yield chunk.subarray(from, to);
    if (position > end) return;
  }
}

function cutOff(context: RepositoryContext, blob: Descriptor, position: number, end: number): TransientError {
  return new TransientError('NETWORK', `${context.name}@${blob.digest}: the download ended at byte ${position} of ${end}`, {
    hint: 'check the network and try again',
  });
}

async function* nothing(): AsyncGenerator<Uint8Array, void, undefined> {}
