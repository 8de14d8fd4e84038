import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';
import { isDigest, type Digest } from '../../src/oci/digest.ts';
import type { Exchange } from './registry.ts';
import { fail } from './registry-reply.ts';
import type { Upload } from './registry-storage.ts';

/** GET, HEAD and DELETE /v2/NAME/blobs/DIGEST */
export async function serveBlob(exchange: Exchange, repository: string, digest: string): Promise<void> {
  const { registry, response, entry } = exchange;
  if (!isDigest(digest)) return fail(response, 400, 'DIGEST_INVALID', 'not a digest');
  if (!registry.storage.has(repository, digest)) return fail(response, 404, 'BLOB_UNKNOWN', 'blob unknown to registry');
  if (entry.method === 'DELETE') {
    registry.storage.repository(repository).blobs.delete(digest);
    response.writeHead(202).end();
    return;
  }
  if (entry.method !== 'GET' && entry.method !== 'HEAD') return fail(response, 405, 'UNSUPPORTED', 'method not allowed');
  if (entry.origin === 'registry' && redirect(exchange)) return;
  await sendBlob(exchange, digest);
}

function redirect({ registry, response, url, entry }: Exchange): boolean {
  const to = registry.behaviour.redirectBlobs;
  if (to === undefined) return false;
  const base = to === 'foreign' ? registry.foreignUrl : to === 'loop' ? registry.url : to;
  const location = to === 'loop' ? base + entry.path : `${base}${url.pathname}?X-Signature=secret`;
  response.writeHead(307, { Location: location }).end();
  return true;
}

async function sendBlob(exchange: Exchange, digest: Digest): Promise<void> {
  const { registry, request, response, entry } = exchange;
  const { behaviour, storage } = registry;
  const size = await storage.size(digest);
  const range = behaviour.ranges ? /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') : null;
  const start = range === null ? 0 : Number(range[1]);
  const end = range === null || range[2] === '' ? size : Math.min(size, Number(range[2]) + 1);
  if (start > size || (range !== null && start === size)) {
    return fail(response, 416, 'RANGE_INVALID', 'range not satisfiable', { 'Content-Range': `bytes */${size}` });
  }
  if (range !== null) await behaviour.rangeGate;
  const short = behaviour.shortDownloads.shift();
  const named = behaviour.wrongContentRange ? start + 1 : start;
  response.writeHead(range === null ? 200 : 206, {
    'Content-Type': 'application/octet-stream',
    ...(short === undefined ? { 'Content-Length': String(end - start) } : {}),
    'Docker-Content-Digest': digest,
    ...(behaviour.ranges ? { 'Accept-Ranges': 'bytes' } : {}),
    ...(range === null ? {} : { 'Content-Range': `bytes ${named}-${end - 1}/${size}` }),
  });
  if (entry.method === 'HEAD') {
    response.end();
    return;
  }
  await sendContent(exchange, digest, { start, end: Math.min(end, start + (short ?? size)), isPart: range !== null });
}

interface Content {
  readonly start: number;
  readonly end: number;
  /** A range was asked for. */
  readonly isPart: boolean;
}

async function sendContent({ registry, response }: Exchange, digest: Digest, { start, end, isPart }: Content): Promise<void> {
  const { behaviour, storage } = registry;
  let position = start;
  const sendUpTo = async (until: number): Promise<void> => {
    for await (const chunk of storage.read(digest, position, Math.min(end, until))) response.write(chunk);
    position = Math.min(end, until);
  };
  const stall = isPart ? behaviour.stallRanges.shift() : undefined;
  if (stall !== undefined) return sendUpTo(start + stall);
  if (!isPart && behaviour.pauseWhole !== undefined) {
    await sendUpTo(start + behaviour.pauseWhole.bytes);
    await behaviour.pauseWhole.until;
  }
  const trickle = behaviour.trickleDownloads.shift();
  if (trickle !== undefined) {
    await sendUpTo(start + trickle);
    // until the client has had enough
    for (; position < end && !response.destroyed; position++) {
      for await (const byte of storage.read(digest, position, position + 1)) response.write(byte);
      await wait(5);
    }
    response.end();
    return;
  }
  const cut = behaviour.cutDownloads.shift() ?? (isPart ? behaviour.cutRanges.shift() : undefined);
  await sendBytes(response, storage.read(digest, position, end), cut ?? Number.POSITIVE_INFINITY);
}

/** Sends `bytes` at the pace of the client; breaks the connection after `cut` of them. */
async function sendBytes(response: ServerResponse, bytes: AsyncIterable<Uint8Array>, cut: number): Promise<void> {
  let sent = 0;
  for await (const chunk of bytes) {
    const part = chunk.subarray(0, Math.max(0, cut - sent));
    sent += part.byteLength;
    if (response.destroyed) return;
    if (sent >= cut) {
      response.write(part, () => response.destroy());
      return;
    }
    if (!response.write(part)) await drained(response);
  }
  response.end();
}

/** By hand, as it happens for every few chunks: aborting what is still waited for makes errors, which cost most of sending. */
async function drained(response: ServerResponse): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const done = (): void => {
    response.off('drain', done).off('close', done);
    resolve();
  };
  response.on('drain', done).on('close', done);
  await promise;
}

/** POST, PATCH, PUT, GET and DELETE of upload sessions. */
export async function serveUpload(exchange: Exchange, repository: string, id: string): Promise<void> {
  const { registry, response, entry, url } = exchange;
  if (entry.method === 'POST' && id === '') return startUpload(exchange, repository);
  const upload = registry.storage.uploads.get(id);
  if (upload === undefined || upload.repository !== repository) return fail(response, 404, 'BLOB_UPLOAD_UNKNOWN', 'no such upload');
  if (entry.method === 'DELETE') {
    await registry.storage.cancel(upload);
    response.writeHead(204).end();
    return;
  }
  // a GET may come after an answer was lost, so it does not have to know the newest state
  if (entry.method === 'GET') return accepted(exchange, upload, 204);
  if (url.searchParams.get('state') !== String(upload.state)) return fail(response, 400, 'BLOB_UPLOAD_INVALID', 'stale upload location');
  if (entry.method === 'PATCH') return patchUpload(exchange, upload);
  if (entry.method === 'PUT') return finishUpload(exchange, upload);
  return fail(response, 405, 'UNSUPPORTED', 'method not allowed');
}

async function startUpload(exchange: Exchange, repository: string): Promise<void> {
  const { registry, url } = exchange;
  const mount = url.searchParams.get('mount');
  const from = url.searchParams.get('from');
  if (registry.behaviour.mounts && isDigest(mount) && from !== null && registry.storage.has(from, mount)) {
    registry.storage.repository(repository).blobs.add(mount);
    return created(exchange, repository, mount);
  }
  accepted(exchange, await registry.storage.begin(repository), 202);
}

async function patchUpload(exchange: Exchange, upload: Upload): Promise<void> {
  const { registry, request, response } = exchange;
  const start = /^(\d+)-\d+$/.exec(request.headers['content-range'] ?? '')?.[1];
  if ((start !== undefined && Number(start) !== upload.size) || upload.shortChunk) {
    return fail(response, 416, 'RANGE_INVALID', 'chunk out of order', { Range: rangeOf(upload), Location: locationOf(exchange, upload) });
  }
  const before = upload.size;
  await receive(exchange, upload, registry.behaviour.shortenChunks.shift());
  upload.shortChunk = upload.size - before < (registry.behaviour.chunkMinimum ?? 0);
  accepted(exchange, upload, 202);
}

async function finishUpload(exchange: Exchange, upload: Upload): Promise<void> {
  const { registry, request, response, url, entry } = exchange;
  const digest = url.searchParams.get('digest');
  if (!isDigest(digest)) return fail(response, 400, 'DIGEST_INVALID', 'digest missing');
  if (Number(request.headers['content-length'] ?? 0) > registry.behaviour.maxPut) {
    // read to the end: the answer could be lost behind a connection reset
    for await (const chunk of request) entry.received += (chunk as Uint8Array).byteLength;
    return fail(response, 413, 'SIZE_INVALID', 'request entity too large');
  }
  await receive(exchange, upload);
  if (!(await registry.storage.commit(upload, digest)))
    return fail(response, 400, 'DIGEST_INVALID', 'provided digest did not match uploaded content');
  created(exchange, upload.repository, digest);
}

async function receive({ registry, request, entry }: Exchange, upload: Upload, keep = Number.POSITIVE_INFINITY): Promise<void> {
  await registry.behaviour.uploadGate;
  const cut = registry.behaviour.cutUploads.shift();
  const stall = registry.behaviour.stallUploads.shift();
  const limit = Math.min(keep, cut ?? keep);
  let kept = 0;
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      entry.received += chunk.byteLength;
      const part = chunk.subarray(0, Math.max(0, limit - kept));
      kept += part.byteLength;
      if (part.byteLength > 0) await registry.storage.append(upload, part);
      if (cut !== undefined && kept >= cut) {
        request.socket.destroy();
        throw new Error('cut');
      }
      if (stall !== undefined && kept >= stall) await once(request.socket, 'close');
    }
  } catch (error) {
    if (!registry.behaviour.keepsBroken) await registry.storage.cancel(upload);
    throw error;
  }
}

function accepted(exchange: Exchange, upload: Upload, status: 202 | 204): void {
  const { registry, response, entry } = exchange;
  upload.state += 1;
  const minimum = registry.behaviour.chunkMinimum;
  response
    .writeHead(status, {
      Location: locationOf(exchange, upload),
      Range: rangeOf(upload),
      'Docker-Upload-UUID': upload.id,
      'Content-Length': '0',
      ...(minimum === undefined || entry.method !== 'POST' ? {} : { 'OCI-Chunk-Min-Length': String(minimum) }),
    })
    .end();
}

function rangeOf(upload: Upload): string {
  return `0-${Math.max(0, upload.size - 1)}`;
}

function locationOf({ registry }: Exchange, upload: Upload): string {
  const path = `/v2/${upload.repository}/blobs/uploads/${upload.id}?state=${upload.state}`;
  const { location } = registry.behaviour;
  if (location === 'relative') return path;
  if (location === 'absolute') return registry.url + path;
  return (location === 'foreign' ? registry.foreignUrl : location) + path;
}

function created({ response, registry }: Exchange, repository: string, digest: Digest): void {
  response
    .writeHead(201, {
      Location: `${registry.url}/v2/${repository}/blobs/${digest}`,
      'Docker-Content-Digest': digest,
      'Content-Length': '0',
    })
    .end();
}
