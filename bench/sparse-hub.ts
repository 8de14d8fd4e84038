// A Hugging Face hub with one model of a size, whose shards are a few bytes and zeros, so that they take no room; for benches.
//   node bench/sparse-hub.ts SHARDS BYTES
// Prints its port on 127.0.0.1. The model is `bench/model`. It hashes the shards first, as git LFS names them by SHA-256.
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

const [shards = 1, total = 0] = process.argv.slice(2).map(Number);
const SIZE = Math.floor(total / shards);
const COMMIT = '0'.repeat(40);
const zeros = Buffer.alloc(1024 * 1024);

/** What comes before the zeros, so that no two shards are the same. */
const headOf = (shard: number): Buffer => Buffer.from(`shard ${String(shard).padStart(5, '0')}\n`);

/** The bytes [start, end) of a shard, in pieces that are not to be kept. */
function* read(shard: number, start: number, end: number): Generator<Buffer> {
  const head = headOf(shard).subarray(start, end);
  if (head.byteLength > 0) yield head;
  for (let at = start + head.byteLength; at < end; at += zeros.byteLength) yield zeros.subarray(0, Math.min(zeros.byteLength, end - at));
}

const files = Array.from({ length: shards }, (_, shard) => {
  const hash = createHash('sha256');
  for (const piece of read(shard, 0, SIZE)) hash.update(piece);
  return { path: `model-${shard}.safetensors`, oid: hash.digest('hex') };
});

async function sendShard(request: IncomingMessage, response: ServerResponse, shard: number): Promise<void> {
  const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') ?? [];
  const start = Number(from ?? 0);
  const end = Math.min(to ? Number(to) + 1 : SIZE, SIZE);
  const range = from === undefined ? {} : { 'content-range': `bytes ${start}-${end - 1}/${SIZE}` };
  response.writeHead(from === undefined ? 200 : 206, { 'accept-ranges': 'bytes', 'content-length': end - start, ...range });
  for (const piece of read(shard, start, end)) {
    if (response.destroyed) return;
    if (!response.write(piece)) await drained(response);
  }
  response.end();
}

async function drained(response: ServerResponse): Promise<void> {
  const done = new AbortController();
  await Promise.race(['drain', 'close'].map((event) => once(response, event, { signal: done.signal }).catch(() => undefined)));
  done.abort();
}

const server = createServer((request, response) => {
  const { pathname } = new URL(request.url ?? '/', 'http://hub');
  const shard = /\/resolve\/.*\/model-(\d+)\.safetensors$/.exec(pathname)?.[1];
  if (shard !== undefined) return void sendShard(request, response, Number(shard));
  const tree = files.map(({ path, oid }) => ({ type: 'file', path, oid: COMMIT, size: SIZE, lfs: { oid, size: SIZE } }));
  const answer = pathname.includes('/tree/') ? tree : { id: 'bench/model', sha: COMMIT };
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
});
server.listen(0, '127.0.0.1', () => console.log((server.address() as AddressInfo).port));
