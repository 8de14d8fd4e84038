/** Size of the pieces that bulk bytes travel in: SHA-256, sockets and disks are at their best from here on. */
export const CHUNK_BYTES = 1024 * 1024;

/** Chunks kept for reuse: as many as are in flight when a few layers move side by side. */
const MAX_FREE = 192;
const WASM_PAGE = 64 * 1024;

// known to Node's types only with those of the browser
declare const WebAssembly: { Memory: new (size: { initial: number; maximum: number; shared: true }) => { buffer: SharedArrayBuffer } };

const free: ArrayBufferLike[] = [];
/** How many hold each buffer that is out. */
const holders = new WeakMap<ArrayBufferLike, number>();

/**
 * CHUNK_BYTES of memory with undefined content, shared so that a worker thread hashes it without a copy.
 * Reusing it matters: touching fresh memory costs more than SHA-256 of it. What is never released is garbage collected.
 */
export function allocateChunk(): Uint8Array {
  const buffer = free.pop() ?? pageAligned(CHUNK_BYTES);
  holders.set(buffer, 1);
  return new Uint8Array(buffer, 0, CHUNK_BYTES);
}

/** One holder more, who will release it too. */
export function holdChunk(chunk: Uint8Array): void {
  const count = holders.get(chunk.buffer);
  if (count !== undefined) holders.set(chunk.buffer, count + 1);
}

/** To be called once by each holder, who looks at no part of the chunk after; memory that is not from here is left alone. */
export function releaseChunk(chunk: Uint8Array): void {
  const { buffer } = chunk;
  const count = holders.get(buffer);
  if (count === undefined) return;
  if (count > 1) {
    holders.set(buffer, count - 1);
    return;
  }
  holders.delete(buffer);
  if (free.length < MAX_FREE) free.push(buffer);
}

/** True when other threads can read the bytes. */
export function isShared(bytes: Uint8Array): boolean {
  return bytes.buffer instanceof SharedArrayBuffer;
}

/**
 * Memory that begins at a page, as that of WebAssembly does. Writing past the page cache needs that; and processors of AMD take six times
 * as long to copy out of the page cache to memory that begins a few bytes after a page.
 * @param bytes a multiple of 64 KiB
 */
export function pageAligned(bytes: number): ArrayBufferLike {
  try {
    return new WebAssembly.Memory({ initial: bytes / WASM_PAGE, maximum: bytes / WASM_PAGE, shared: true }).buffer;
  } catch {
    // no address space left for it
    return new SharedArrayBuffer(bytes);
  }
}
