import type { SkippableBytes } from '../../blob-source.ts';
import { TarReader } from '../../blobs/tar-reader.ts';
import { KitError } from '../../errors.ts';
import { type BlobReader, FIRST_READ } from './blob.ts';

/** A file in an uncompressed archive: the bytes [start, start + size) of the layer. Its path has not been checked. */
export interface ArchivedFile {
  readonly path: string;
  readonly start: number;
  readonly size: number;
}

const MAX_AHEAD = 1024 * 1024;

/**
 * The files of a tar layer, by its headers alone. What is read of a file through the same `reader` before the next one is asked for costs
 * no request of its own where it lies close behind the header. @throws KitError LAYER_INVALID
 */
export async function* archivedFiles(reader: BlobReader): AsyncGenerator<ArchivedFile, void, undefined> {
  const { digest, size: total } = reader.blob;
  const tar = new TarReader(new JumpingBytes(reader), digest);
  for (let entry = await tar.next(); entry !== undefined; entry = await tar.next()) {
    const { path, size, type } = entry;
    const start = tar.contentStart;
    if (size > total - start) {
      throw new KitError('LAYER_INVALID', `${digest}: the tar archive has ${path} with ${size} bytes where ${total - start} follow`, {
        hint: 'the artifact is damaged; ask for it to be pushed again',
      });
    }
    if (type === 'file') yield { path, start, size };
  }
}

/** A blob front to back, for a reader that jumps over most of it. */
class JumpingBytes implements SkippableBytes {
  readonly #reader: BlobReader;
  #position = 0;
  #ahead = FIRST_READ;

  constructor(reader: BlobReader) {
    this.#reader = reader;
  }

  skip(count: number): number {
    const skipped = Math.min(count, this.#reader.blob.size - this.#position);
    // files that are short come one after another: more of them in one request
    if (skipped > this.#ahead) this.#ahead = FIRST_READ;
    this.#position += skipped;
    return skipped;
  }

  // contents are read past this
  expect(): void {}

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    while (this.#position < this.#reader.blob.size) {
      const bytes = await this.#reader.from(this.#position, this.#ahead);
      this.#position += bytes.byteLength;
      this.#ahead = Math.min(MAX_AHEAD, this.#ahead * 2);
      yield bytes;
    }
  }
}
