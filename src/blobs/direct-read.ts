import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { CHUNK_BYTES } from '../chunk.ts';

/** What O_DIRECT asks of position and length, on any device. */
const BLOCK = 4096;

/** Reads an open file past the page cache, which saves a copy of what nobody is going to read again, and evicts nothing. */
export class DirectReads {
  readonly #fd: number;
  #direct: Promise<FileHandle | undefined> | undefined;

  /** @param fd of the file, open until `close` */
  constructor(fd: number) {
    this.#fd = fd;
  }

  /** Reads to the beginning of a chunk of CHUNK_BYTES; returns how many of the first `length` bytes are there: 0 where that cannot be done so. */
  async read(chunk: Uint8Array, length: number, position: number): Promise<number> {
    if (position % BLOCK !== 0 || length > CHUNK_BYTES || chunk.buffer.byteLength !== CHUNK_BYTES) return 0;
    // the same file by another name, so that nothing can have taken its place
    this.#direct ??= open(`/proc/self/fd/${this.#fd}`, constants.O_RDONLY | constants.O_DIRECT).catch(() => undefined);
    try {
      const memory = new Uint8Array(chunk.buffer, 0, Math.ceil(length / BLOCK) * BLOCK);
      const { bytesRead } = (await (await this.#direct)?.read(memory, 0, memory.byteLength, position)) ?? { bytesRead: 0 };
      return Math.min(length, bytesRead);
    } catch {
      // a file system may refuse; a bad disk will say so again when the page cache asks it
      return 0;
    }
  }

  async close(): Promise<void> {
    await (await this.#direct)?.close();
  }
}
