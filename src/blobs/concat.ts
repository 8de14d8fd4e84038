import type { BlobSource, ByteRange, Bytes } from '../blob-source.ts';

/** A piece of a blob that is made of several. */
export interface BlobPart {
  /** Bytes. */
  readonly size: number;
  /** Bytes [start, end) of the part: never none. */
  open(range: ByteRange, signal?: AbortSignal): Bytes;
}

/** The parts one after the other; only those that a range touches are opened. */
export function concatSource(parts: readonly BlobPart[]): BlobSource & { readonly size: number } {
  const total = parts.reduce((sum, { size }) => sum + size, 0);
  return {
    size: total,
    async *open(range = { start: 0, end: total }, signal) {
      let offset = 0;
      for (const part of parts) {
        const start = Math.max(0, range.start - offset);
        const end = Math.min(part.size, range.end - offset);
        offset += part.size;
        if (start >= end) continue;
        signal?.throwIfAborted();
        yield* part.open({ start, end }, signal);
      }
    },
  };
}
