import { unlink } from 'node:fs/promises';
import { digestFile } from '../blobs/digest-file.ts';
import { digested } from '../blobs/digested.ts';
import { DirectFile } from '../blobs/direct-file.ts';
import { writeBehind } from '../blobs/file-writer.ts';
import type { Bytes } from '../blob-source.ts';
import { KitError } from '../errors.ts';
import { type Digest, type DigestAlgorithm, digestAlgorithm } from '../oci/digest.ts';
import { StreamDigester } from '../oci/stream-digester.ts';
import { tapped } from '../tapped.ts';
import { withPath } from './io-error.ts';

/**
 * A blob that arrives in pieces and says only at its end which digest it has: hashed while it is written. The file is made with the
 * first byte. One call at a time.
 */
export class BlobUpload {
  readonly #path: string;
  readonly #accept: (digest: Digest, path: string, size: number) => Promise<void>;
  readonly #algorithm: DigestAlgorithm;
  readonly #digester: StreamDigester;
  #size = 0;
  #isOpen = true;

  /** Use `BlobDirectory.beginUpload`. `accept` takes over the file at `path` when its digest is right. */
  constructor(path: string, algorithm: DigestAlgorithm, accept: (digest: Digest, path: string, size: number) => Promise<void>) {
    this.#path = path;
    this.#accept = accept;
    this.#algorithm = algorithm;
    this.#digester = new StreamDigester(algorithm);
  }

  /** Bytes so far. */
  get size(): number {
    return this.#size;
  }

  /**
   * Takes the next bytes. Where `bytes` just ends early, what came is kept and the upload can go on; an error of the disk ends it, as does
   * one that `bytes` throws. @throws KitError DISK_FULL | IO_FAILED
   */
  async append(bytes: Bytes): Promise<void> {
    this.#assertOpen();
    const file = await withPath(this.#path, async () => await DirectFile.open(this.#path));
    try {
      await writeBehind(file, this.#path, this.#hashed(bytes), this.#size);
    } catch (error) {
      await this.cancel();
      throw error;
    } finally {
      await file.close();
    }
  }

  /** Ends the upload: the blob is there afterwards, or the bytes are gone. @throws KitError DIGEST_MISMATCH */
  async commit(digest: Digest): Promise<void> {
    this.#assertOpen();
    try {
      // nothing came: there is no file yet
      if (this.#size === 0) await this.append(nothing());
      const actual = await this.#digest(digestAlgorithm(digest));
      if (actual !== digest) throw new KitError('DIGEST_MISMATCH', `${digest}: the content has digest ${actual}`);
      await this.#accept(digest, this.#path, this.#size);
    } finally {
      await this.cancel();
    }
  }

  /** Throws the bytes away; does nothing after the end. */
  async cancel(): Promise<void> {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#digester.abandon();
    // gone already when it was accepted
    await unlink(this.#path).catch(() => undefined);
  }

  #hashed(bytes: Bytes): Bytes {
    return tapped(digested(bytes, this.#digester), { handing: (count) => (this.#size += count) });
  }

  async #digest(algorithm: DigestAlgorithm): Promise<Digest> {
    if (algorithm === this.#algorithm) return await this.#digester.digest();
    // it was not said at the beginning: once more from the file
    const digester = new StreamDigester(algorithm, this.#size);
    try {
      await digestFile(this.#path, digester);
      return await digester.digest();
    } finally {
      digester.abandon();
    }
  }

  #assertOpen(): void {
    if (!this.#isOpen) throw new KitError('INTERNAL', `${this.#path}: the upload has ended`);
  }
}

async function* nothing(): AsyncGenerator<Uint8Array> {}
