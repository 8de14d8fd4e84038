// A registry that keeps what is not zero, so that a layer of 64 GB of a sparse file costs it nothing; for benches.
//   node bench/sparse-registry.ts
// Prints its port on 127.0.0.1. It takes the client's word for the digests of blobs, and forgets everything at its end.
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

interface SparseBlob {
  size: number;
  /** What is not zero, in order. */
  readonly parts: { readonly start: number; readonly bytes: Buffer }[];
}

const zeros = Buffer.alloc(1024 * 1024);
/** By repository and digest: a push to another repository brings all bytes. */
const blobs = new Map<string, SparseBlob>();
const uploads = new Map<string, SparseBlob>();
const manifests = new Map<string, { readonly type: string; readonly bytes: Buffer; readonly digest: string }>();

async function receive(request: IncomingMessage, blob: SparseBlob): Promise<void> {
  // a chunk that begins further on leaves a hole: a bench need not send it
  const start = /^(\d+)-/.exec(request.headers['content-range'] ?? '')?.[1];
  blob.size = Math.max(blob.size, Number(start ?? 0));
  for await (const chunk of request as AsyncIterable<Buffer>) {
    if (!zeros.subarray(0, chunk.byteLength).equals(chunk)) blob.parts.push({ start: blob.size, bytes: Buffer.from(chunk) });
    blob.size += chunk.byteLength;
  }
}

/** The bytes [start, end) of a blob, in pieces that are not to be kept. */
function* read({ parts }: SparseBlob, start: number, end: number): Generator<Buffer> {
  let at = start;
  for (const part of [...parts, { start: end, bytes: zeros.subarray(0, 0) }]) {
    const gapEnd = Math.min(part.start, end);
    for (; at < gapEnd; at += Math.min(zeros.byteLength, gapEnd - at)) yield zeros.subarray(0, Math.min(zeros.byteLength, gapEnd - at));
    const bytes = part.bytes.subarray(Math.max(at - part.start, 0), Math.max(end - part.start, 0));
    if (bytes.byteLength === 0) continue;
    yield bytes;
    at += bytes.byteLength;
  }
}

async function sendBlob(request: IncomingMessage, response: ServerResponse, name: string, digest: string): Promise<void> {
  const blob = blobs.get(`${name} ${digest}`);
  if (blob === undefined) return void response.writeHead(404).end();
  const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') ?? [];
  const start = Number(from ?? 0);
  const end = Math.min(to ? Number(to) + 1 : blob.size, blob.size);
  if (start >= end && blob.size > 0) return void response.writeHead(416, { 'content-range': `bytes */${blob.size}` }).end();
  const headers = { 'content-length': end - start, 'docker-content-digest': digest, 'accept-ranges': 'bytes' };
  response.writeHead(from === undefined ? 200 : 206, {
    ...headers,
    ...(from === undefined ? {} : { 'content-range': `bytes ${start}-${end - 1}/${blob.size}` }),
  });
  if (request.method === 'GET') {
    for (const piece of read(blob, start, end)) {
      if (response.destroyed) return;
      if (!response.write(piece)) await drained(response);
    }
  }
  response.end();
}

async function drained(response: ServerResponse): Promise<void> {
  const done = new AbortController();
  await Promise.race(['drain', 'close'].map((event) => once(response, event, { signal: done.signal })));
  done.abort();
}

async function upload(request: IncomingMessage, response: ServerResponse, url: URL, name: string): Promise<void> {
  const id = url.pathname.split('/').at(-1) || crypto.randomUUID();
  const blob = uploads.get(id) ?? { size: 0, parts: [] };
  uploads.set(id, blob);
  await receive(request, blob);
  const digest = url.searchParams.get('digest');
  const location = `/v2/${name}/blobs/`;
  if (digest === null) {
    const status = request.method === 'GET' ? 204 : 202;
    response
      .writeHead(status, { location: `${location}uploads/${id}`, range: `0-${Math.max(blob.size - 1, 0)}`, 'content-length': 0 })
      .end();
    return;
  }
  uploads.delete(id);
  blobs.set(`${name} ${digest}`, blob);
  response.writeHead(201, { location: location + digest, 'docker-content-digest': digest, 'content-length': 0 }).end();
}

async function manifest(request: IncomingMessage, response: ServerResponse, name: string, reference: string): Promise<void> {
  if (request.method === 'PUT') {
    const bytes = Buffer.concat(await Array.fromAsync(request as AsyncIterable<Buffer>));
    const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
    const stored = { type: request.headers['content-type'] ?? '', bytes, digest };
    for (const key of [reference, digest]) manifests.set(`${name} ${key}`, stored);
    return void response
      .writeHead(201, { location: `/v2/${name}/manifests/${digest}`, 'docker-content-digest': digest, 'content-length': 0 })
      .end();
  }
  const stored = manifests.get(`${name} ${reference}`);
  if (stored === undefined) return void response.writeHead(404, { 'content-length': 0 }).end();
  const { type, bytes, digest } = stored;
  response.writeHead(200, { 'content-type': type, 'content-length': bytes.byteLength, 'docker-content-digest': digest });
  response.end(request.method === 'HEAD' ? undefined : bytes);
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://registry');
  const [, name = '', kind, rest = ''] = /^\/v2\/(.+)\/(blobs|manifests)\/(.*)$/.exec(url.pathname) ?? [];
  if (kind === 'manifests') return manifest(request, response, name, rest);
  if (kind === 'blobs' && /^uploads(\/|$)/.test(rest)) return upload(request, response, url, name);
  if (kind === 'blobs') return sendBlob(request, response, name, rest);
  response.writeHead(url.pathname === '/v2/' ? 200 : 404, { 'content-length': 0 }).end();
}

const server = createServer((request, response) => {
  answer(request, response).catch(() => response.destroy());
});
// one request may bring 64 GB
server.requestTimeout = 0;
server.listen(0, '127.0.0.1', () => console.log((server.address() as AddressInfo).port));
