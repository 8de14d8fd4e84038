import { createHash } from 'node:crypto';
import type { ByteRange } from '../blob-source.ts';
import { releaseChunk } from '../chunk.ts';
import { KitError } from '../errors.ts';
import type { CallOptions } from '../events.ts';
import { type Digest, digestAlgorithm } from '../oci/digest.ts';
import { StreamDigester } from '../oci/stream-digester.ts';
import type { RemoteFile } from './remote-file.ts';

/**
 * Reads a file from its beginning to its end, in one piece or in ranges that follow each other, and checks it on the way: the last
 * chunk is handed out when the whole is known to be right. A range that does not follow makes it begin anew, so that what was
 * handed out last is what was checked. For one reader at a time.
 */
export class VerifiedReader {
  readonly #file: RemoteFile;
  #check: ContentCheck | undefined;
  /** How much of the file the check has seen. */
  #position = 0;

  constructor(file: RemoteFile) {
    this.#file = file;
  }

  /** @throws KitError DIGEST_MISMATCH | SIZE_MISMATCH */
  async *open({ start, end }: ByteRange, call: CallOptions): AsyncGenerator<Uint8Array> {
    const file = this.#file;
    if (this.#check === undefined || this.#position !== start) {
      this.#check?.abandon();
      this.#check = checkOf(file);
      this.#position = 0;
    }
    const check = this.#check;
    for await (const chunk of file.open({ start: this.#position, end }, call)) {
      const before = this.#position;
      this.#position += chunk.byteLength;
      if (this.#position > end) throw sizeMismatch(file, `more than ${end}`);
      await check.update(chunk);
      if (this.#position === file.size) await this.#finish(check);
      if (this.#position <= start) releaseChunk(chunk);
      else yield before < start ? chunk.subarray(start - before) : chunk;
    }
    if (this.#check === check && this.#position < end) throw sizeMismatch(file, String(this.#position));
    if (file.size === 0) await this.#finish(check);
  }

  async #finish(check: ContentCheck): Promise<void> {
    this.#check = undefined;
    await check.finish();
  }
}

interface ContentCheck {
  update(bytes: Uint8Array): Promise<void> | void;
  /** @throws KitError DIGEST_MISMATCH */
  finish(): Promise<void> | void;
  abandon(): void;
}

function checkOf({ path, size, digest, blobId }: RemoteFile): ContentCheck {
  if (digest !== undefined) return digestCheck(path, size, digest);
  const hash = createHash('sha1').update(`blob ${size}\0`);
  return {
    update: (bytes) => void (blobId !== undefined && hash.update(bytes)),
    finish: () => {
      if (blobId !== undefined && hash.digest('hex') !== blobId) throw mismatch(path, `is not that of the git object ${blobId}`);
    },
    abandon: () => {},
  };
}

function digestCheck(path: string, size: number, digest: Digest): ContentCheck {
  const digester = new StreamDigester(digestAlgorithm(digest), size);
  return {
    update: async (bytes) => await digester.update(bytes),
    finish: async () => {
      const found = await digester.digest();
      if (found !== digest) throw mismatch(path, `has digest ${found} instead of ${digest}`);
    },
    abandon: () => digester.abandon(),
  };
}

function mismatch(path: string, what: string): KitError {
  return new KitError('DIGEST_MISMATCH', `${path}: the content ${what}`, {
    hint: 'it was changed at its source, or damaged on the way; run the command again, and ask its owner if that does not help',
  });
}

function sizeMismatch({ path, size }: RemoteFile, received: string): KitError {
  return new KitError('SIZE_MISMATCH', `${path}: ${received} bytes arrived instead of ${size}`, { hint: 'run the command again' });
}
