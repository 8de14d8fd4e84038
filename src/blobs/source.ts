/** Bytes [start, end) of a blob. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/**
 * Each chunk belongs to the receiver, who may keep it for good or give its memory back by `releaseChunk`. Nobody writes to it:
 * it may still be hashed elsewhere. A producer that hands out parts of one chunk holds it once for each (`holdChunk`).
 */
export type Bytes = AsyncIterable<Uint8Array>;

/** A blob that can be opened again: for a retry, a resumed upload, a second reader. */
export interface BlobSource {
  /** Bytes; undefined only while a compressed size is not known yet. */
  readonly size: number | undefined;
  open(range?: ByteRange, signal?: AbortSignal): Bytes;
  /** Makes the new file `path` a copy of the blob that shares its blocks; false, with nothing made, where that cannot be done. */
  readonly cloneTo?: (path: string) => Promise<boolean>;
  /**
   * To be asked when a clone was made and the blob was read after that: true when what was read is what the clone holds. What `open`
   * reads may be in the page cache, a clone never is.
   */
  readonly matchesClone?: () => Promise<boolean>;
}

export function bytesSource(bytes: Uint8Array): BlobSource {
  return {
    size: bytes.byteLength,
    async *open(range) {
      const part = range ? bytes.subarray(range.start, range.end) : bytes;
      if (part.byteLength > 0) yield part;
    },
  };
}
