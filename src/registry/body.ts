import type { Bytes } from '../blob-source.ts';
import { KitError } from '../errors.ts';

/** Reads a small body whole. A declared length is not asked: the limit holds while reading. @throws KitError LIMIT_EXCEEDED */
export async function readLimited(body: Bytes, limit: number, what: string): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.byteLength;
    if (size > limit) throw new KitError('LIMIT_EXCEEDED', `${what}: the registry sends more than ${limit} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** The first `limit` bytes of a body; the rest is given up, and so is a body that breaks. */
export async function readHead(body: Bytes, limit: number): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const chunk of body) {
      chunks.push(chunk);
      size += chunk.byteLength;
      if (size >= limit) break;
    }
  } catch {
    // what has arrived is worth showing
  }
  return Buffer.concat(chunks).subarray(0, limit);
}
