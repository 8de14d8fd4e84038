/** Any bytes of a file, in any order: a file on disk, a layer in a registry, a part of an archive. */
export interface ReadAt {
  /** Its path: tells what kind of file it is, and goes into messages. */
  readonly name: string;
  /** Bytes; what a header declares is held to it. */
  readonly size: number;
  /** Exactly the bytes [start, end), which lie within the file. Nobody writes to them. */
  read(start: number, end: number): Promise<Uint8Array>;
}

/** More is never read of one file: the limit that the safetensors library has for its header too. */
export const MAX_HEADER_BYTES = 100_000_000;
