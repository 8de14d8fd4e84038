import { type FileHandle, open } from 'node:fs/promises';
import { allocateChunk, CHUNK_BYTES, releaseChunk } from '../chunk.ts';
import type { StreamDigester } from '../oci/stream-digester.ts';
import { asPathError } from './path-error.ts';

/** What a thread hashes between two looks at the signal. */
export const HASH_STEP = 8 * CHUNK_BYTES;

export interface DigestFileOptions {
  /** Bytes from the beginning; the whole file unless told. */
  readonly end?: number;
  readonly signal?: AbortSignal | undefined;
}

/** Feeds a file to `digester`. Returns how many bytes there were, which may be fewer than asked for. @throws KitError */
export async function digestFile(path: string, digester: StreamDigester, options: DigestFileOptions = {}): Promise<number> {
  const { end = Number.POSITIVE_INFINITY, signal } = options;
  try {
    const handle = await open(path, 'r');
    try {
      return await digestHandle(handle, digester, end, signal);
    } finally {
      await handle.close();
    }
  } catch (error) {
    signal?.throwIfAborted();
    throw asPathError(error, path);
  }
}

async function digestHandle(handle: FileHandle, digester: StreamDigester, end: number, signal: AbortSignal | undefined): Promise<number> {
  let position = 0;
  while (position < end) {
    signal?.throwIfAborted();
    const from = { fd: handle.fd, position };
    const count = (await digester.take(from, Math.min(HASH_STEP, end - position))) ?? (await readAndHash(handle, digester, position, end));
    if (count === 0) break;
    position += count;
  }
  return position;
}

async function readAndHash(handle: FileHandle, digester: StreamDigester, position: number, end: number): Promise<number> {
  const chunk = allocateChunk();
  const { bytesRead } = await handle.read(chunk, 0, Math.min(CHUNK_BYTES, end - position), position);
  if (bytesRead > 0) await digester.update(chunk.subarray(0, bytesRead));
  releaseChunk(chunk);
  return bytesRead;
}
