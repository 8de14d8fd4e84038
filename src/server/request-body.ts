import type { IncomingMessage } from 'node:http';
import { allocateChunk, CHUNK_BYTES } from '../chunk.ts';
import { DistributionError } from './distribution-error.ts';

/** Shorter bodies are not worth a chunk. */
const SMALL = 64 * 1024;

/**
 * The body in chunks that are hashed on another thread and written past the page cache. Where the connection breaks it just ends:
 * what came is worth keeping. `request.complete` tells.
 */
export async function* bodyChunks(request: IncomingMessage): AsyncGenerator<Uint8Array, void, undefined> {
  const isSmall = Number(request.headers['content-length'] ?? Number.POSITIVE_INFINITY) <= SMALL;
  let chunk: Uint8Array | undefined;
  let filled = 0;
  for await (const part of untilBroken(request)) {
    if (isSmall) {
      yield part;
      continue;
    }
    for (let taken = 0; taken < part.byteLength;) {
      chunk ??= allocateChunk();
      const piece = part.subarray(taken, taken + CHUNK_BYTES - filled);
      chunk.set(piece, filled);
      filled += piece.byteLength;
      taken += piece.byteLength;
      if (filled < CHUNK_BYTES) break;
      const full = chunk;
      chunk = undefined;
      filled = 0;
      yield full;
    }
  }
  if (chunk !== undefined && filled > 0) yield chunk.subarray(0, filled);
}

/** All of a body that must be small. @throws DistributionError 413 */
export async function readBody(request: IncomingMessage, limit: number): Promise<Buffer> {
  const tooLarge = (): DistributionError => new DistributionError(413, 'SIZE_INVALID', `a manifest may have ${limit} bytes here`);
  if (Number(request.headers['content-length'] ?? 0) > limit) throw tooLarge();
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of untilBroken(request)) {
    size += part.byteLength;
    if (size > limit) throw tooLarge();
    parts.push(part);
  }
  return Buffer.concat(parts);
}

async function* untilBroken(request: IncomingMessage): AsyncGenerator<Buffer, void, undefined> {
  try {
    // a request that is destroyed takes the connection along, and with it the answer
    yield* request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>;
  } catch (error) {
    if (!request.destroyed) throw error;
  }
}
