import type { MoveBytes } from './move.ts';

/** Bytes [start, end) of a blob. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
  /** Where the rest of the blob would have to be sent too, reading it is refused with UNSUPPORTED. */
  readonly isExact?: boolean;
}

/**
 * Each chunk belongs to the receiver, who may keep it for good or give its memory back by `releaseChunk`. Nobody writes to it:
 * it may still be hashed elsewhere. A producer that hands out parts of one chunk holds it once for each (`holdChunk`).
 */
export interface Bytes {
  [Symbol.asyncIterator](): BytesIterator;
}

export interface BytesIterator extends AsyncIterator<Uint8Array, void, undefined> {
  /**
   * Copies the next bytes into `piece` where that takes no waiting: how many, or 0 where `next` has to be asked, for bytes or for the end.
   * Memory that is used again and again stays in the processor's cache, which makes two copies as cheap as one. That the reading was
   * aborted is for whoever asks to know.
   */
  readNow?(piece: Uint8Array): number;
  /**
   * Has the next bytes read, hashed and, where they are to be written to a file, written in one go on another thread. Undefined where `next`
   * has to be asked, for bytes or for the end. What it throws has ended the bytes.
   */
  readonly move?: MoveBytes | undefined;
}

/** Bytes of which some can be left out: those of a blob that is read by ranges. */
export interface SkippableBytes extends Bytes {
  /** Passes over `count` of the next bytes, or as many as there are; returns how many. */
  skip(count: number): number;
  /** Says that `count` of the next bytes will be read: what is in one piece need not be asked for in many. */
  expect(count: number): void;
}

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
