import type { RepositoryContext } from './context.ts';

const MIB = 1024 * 1024;
/** Up to here one request carries a blob. */
const LARGE_BLOB_BYTES = 256 * MIB;
/**
 * Each chunk begins with a fresh token and passes the timeouts of proxies, and what a registry does at its end (distribution waits for
 * the disk) overlaps with the other blobs: an eighth of the time of a push of four. Smaller ones cost more requests.
 */
const LARGE_CHUNK_BYTES = 128 * MIB;

/** In pieces of how many bytes a blob of `size` is uploaded; Infinity for one request. */
export function chunkSizeFor({ chunkSize }: Pick<RepositoryContext, 'chunkSize'>, size: number): number {
  if (chunkSize !== undefined) return chunkSize;
  if (size <= LARGE_BLOB_BYTES) return Number.POSITIVE_INFINITY;
  // even ones: a small last one would be a request for little
  return Math.ceil(size / Math.ceil(size / LARGE_CHUNK_BYTES) / MIB) * MIB;
}
