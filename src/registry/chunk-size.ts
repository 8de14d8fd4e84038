import type { RepositoryContext } from './context.ts';

const MIB = 1024 * 1024;
/** Up to here one request carries a blob. */
const LARGE_BLOB_BYTES = 1024 * MIB;
/** Chunks of this size cost nothing that can be measured, and each begins with a fresh token and passes the timeouts of proxies. */
const LARGE_CHUNK_BYTES = 256 * MIB;

/** In pieces of how many bytes a blob of `size` is uploaded; Infinity for one request. */
export function chunkSizeFor({ chunkSize }: Pick<RepositoryContext, 'chunkSize'>, size: number): number {
  return chunkSize ?? (size > LARGE_BLOB_BYTES ? LARGE_CHUNK_BYTES : Number.POSITIVE_INFINITY);
}
