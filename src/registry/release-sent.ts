import { getDefaultHighWaterMark } from 'node:stream';
import type { Bytes } from '../blobs/source.ts';
import { releaseChunk } from '../chunk.ts';

/**
 * A request body whose chunks are given back once they are sent. undici asks for the next chunk when the socket wants more: after a
 * chunk that fills the socket's buffer that is when all of it was handed to the system. What is smaller may still be waiting there
 * and is left to the garbage collector, as is the chunk at which the request ends early.
 */
export async function* releaseSent(bytes: Bytes): AsyncGenerator<Uint8Array, void, undefined> {
  const buffered = getDefaultHighWaterMark(false);
  for await (const chunk of bytes) {
    yield chunk;
    if (chunk.byteLength >= buffered) releaseChunk(chunk);
  }
}
