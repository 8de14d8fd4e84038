/** Bytes [start, end) of a blob. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** Each chunk belongs to the receiver: a producer never writes to it again. */
export type Bytes = AsyncIterable<Uint8Array>;

/** A blob that can be opened again: for a retry, a resumed upload, a second reader. */
export interface BlobSource {
  /** Bytes; undefined only while a compressed size is not known yet. */
  readonly size: number | undefined;
  open(range?: ByteRange, signal?: AbortSignal): Bytes;
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
