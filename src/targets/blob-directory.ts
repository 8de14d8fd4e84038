import { type BigIntStats, existsSync } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, rename, stat, unlink } from 'node:fs/promises';
import { dirname, join, sep } from 'node:path';
import { digestFile } from '../blobs/digest-file.ts';
import { fileBytes } from '../blobs/file-bytes.ts';
import { asPathError } from '../blobs/path-error.ts';
import { paceOf } from '../blobs/read-pace.ts';
import type { BlobSource, ByteRange, Bytes } from '../blob-source.ts';
import { releaseChunk } from '../chunk.ts';
import { KitError } from '../errors.ts';
import type { CallOptions } from '../events.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { type Digest, type DigestAlgorithm, digestAlgorithm, digestHex, isDigest } from '../oci/digest.ts';
import { isManifestLike, MAX_METADATA_BYTES } from '../oci/media-types.ts';
import { StreamDigester } from '../oci/stream-digester.ts';
import { BlobUpload } from './blob-upload.ts';
import type { BlobStore } from './indexed-target.ts';
import { Ingest } from './ingest.ts';
import { isErrno, withPath } from './io-error.ts';
import { linkBlob } from './link-blob.ts';
import { syncDirectory, syncFile } from './sync-file.ts';
import type { FetchOptions } from './types.ts';
import { VerifiedBlobs } from './verified-blobs.ts';

export interface BlobDirectoryOptions {
  /** Where to remember which blobs were verified; in memory only unless told. */
  readonly stampFile?: string;
  /** Awaited before anything is written: makes what the blobs lie in, where it is still to be made. */
  readonly prepare?: () => Promise<void>;
}

/** `blobs/ALG/HEX` of an image layout (OCI image spec, image-layout.md#blobs), with `ingest/` beside it for what arrives. */
export class BlobDirectory implements BlobStore {
  readonly #root: string;
  readonly #blobs: string;
  readonly #ingest: Ingest;
  readonly #stamps: VerifiedBlobs;
  readonly #prepare: () => Promise<void>;
  readonly #arriving = new Map<Digest, Promise<unknown>>();
  /** Folders with names that may not be on the disk yet. */
  readonly #unsettled = new Set<string>();

  constructor(root: string, options: BlobDirectoryOptions = {}) {
    this.#root = root;
    this.#blobs = join(root, 'blobs');
    this.#ingest = new Ingest(join(root, 'ingest'));
    this.#stamps = new VerifiedBlobs(options.stampFile);
    this.#prepare = options.prepare ?? (async () => {});
  }

  pathOf(digest: Digest): string {
    // a digest needs no normalizing, which would be half the work
    return `${this.#blobs}${sep}${digestAlgorithm(digest)}${sep}${digestHex(digest)}`;
  }

  /** The file of the blob, where there is one. */
  localPath(blob: Descriptor): string | undefined {
    const path = this.pathOf(blob.digest);
    return existsSync(path) ? path : undefined;
  }

  /** The file of the blob if its content is right. Unlike `has` it leaves a damaged one where it is. */
  async localFile(blob: Descriptor, options: CallOptions = {}): Promise<string | undefined> {
    const path = this.pathOf(blob.digest);
    const stats = await statOrMissing(path);
    if (stats?.size !== BigInt(blob.size)) return undefined;
    return (await this.#isSound(blob.digest, path, stats, options)) ? path : undefined;
  }

  /** See linkBlob. */
  async link(blob: Descriptor, to: string, options: CallOptions = {}): Promise<(() => Promise<void>) | undefined> {
    const path = await this.localFile(blob, options);
    return path === undefined ? undefined : await linkBlob(path, to, blob.digest, this.#stamps);
  }

  async sizeOf(digest: Digest): Promise<number | undefined> {
    const stats = await statOrMissing(this.pathOf(digest));
    return stats === undefined ? undefined : Number(stats.size);
  }

  /** When the file was written (ms since 1970); undefined when there is no such blob. */
  async modifiedMs(digest: Digest): Promise<number | undefined> {
    const stats = await statOrMissing(this.pathOf(digest));
    return stats === undefined ? undefined : Number(stats.mtimeMs);
  }

  /** True when the blob is there and its content is right, which is found out once for each state of its file. */
  async has(blob: Descriptor, options: CallOptions = {}): Promise<boolean> {
    const path = this.pathOf(blob.digest);
    const stats = await statOrMissing(path);
    if (stats === undefined) return false;
    if (await this.#isSound(blob.digest, path, stats, options)) return stats.size === BigInt(blob.size);
    // another process may have repaired it while this one was hashing
    const now = await statOrMissing(path);
    if (now !== undefined && (now.ino !== stats.ino || now.ctimeNs !== stats.ctimeNs)) return await this.has(blob, options);
    if (now !== undefined) await this.#setAside(blob.digest, path, options);
    return false;
  }

  /** Does not verify. @throws KitError BLOB_NOT_FOUND | SIZE_MISMATCH */
  async fetch(blob: Descriptor, options: FetchOptions = {}): Promise<Bytes> {
    const path = this.pathOf(blob.digest);
    const stats = await statOrMissing(path);
    if (stats === undefined) throw missing(path, blob);
    if (stats.size !== BigInt(blob.size)) {
      throw new KitError('SIZE_MISMATCH', `${blob.digest}: ${path} has ${stats.size} bytes where its descriptor says ${blob.size}`, {
        hint: 'the file was cut off or its manifest is wrong; fetch it again from a source that you trust',
      });
    }
    return readFileRange(path, blob, options.range ?? { start: 0, end: blob.size }, options.signal);
  }

  /** Verifies and stores; what is there already and sound is not read again. @throws KitError DIGEST_MISMATCH | SIZE_MISMATCH | DISK_FULL | IO_FAILED */
  async push(blob: Descriptor, source: BlobSource, options: CallOptions = {}): Promise<void> {
    if (isManifestLike(blob.mediaType) && blob.size > MAX_METADATA_BYTES) {
      throw new KitError('LIMIT_EXCEEDED', `${blob.digest}: a manifest of ${blob.size} bytes, the limit is ${MAX_METADATA_BYTES}`);
    }
    // of several pushes of one digest one does the work; should it fail, the next one tries
    for (;;) {
      const arriving = this.#arriving.get(blob.digest);
      if (arriving === undefined) break;
      await arriving.catch(() => undefined);
      options.signal?.throwIfAborted();
    }
    const work = this.#store(blob, source, options);
    this.#arriving.set(blob.digest, work);
    try {
      await work;
    } finally {
      this.#arriving.delete(blob.digest);
    }
  }

  /** The end is reported by a `done` event with the digest as id: only then it is known whether the blob was there already. */
  async pushUnhashed(mediaType: string, source: BlobSource, options: CallOptions = {}): Promise<Descriptor> {
    await this.#prepare();
    return await this.#ingest.writeUnhashed(
      source,
      async ({ path, digest, size }) => {
        const blob = { mediaType, digest, size };
        const exists = await this.has(blob, options);
        if (!exists) await this.#accept(digest, path);
        options.onEvent?.({ type: 'done', id: digest, outcome: exists ? 'exists' : 'copied' });
        return blob;
      },
      options,
    );
  }

  /** For content that arrives in pieces. `algorithm` is that of the digest which it will most likely be given. */
  async beginUpload(algorithm: DigestAlgorithm = 'sha256'): Promise<BlobUpload> {
    await this.#prepare();
    return new BlobUpload(await this.#ingest.reserve(), algorithm, async (digest, path, size) => {
      if (await this.has({ mediaType: 'application/octet-stream', digest, size })) return;
      // whoever sent it may keep nothing
      await withPath(path, async () => await syncFile(path));
      await this.#accept(digest, path);
    });
  }

  /** Waits until the names of the blobs that arrived are on the disk; their content is there before they have one. */
  async settle(): Promise<void> {
    for (const folder of this.#unsettled) {
      this.#unsettled.delete(folder);
      await syncDirectory(folder);
    }
  }

  async remove(digest: Digest): Promise<void> {
    const path = this.pathOf(digest);
    await withPath(path, async () => {
      await unlink(path).catch((error: unknown) => {
        if (!isErrno(error, 'ENOENT')) throw error;
      });
    });
  }

  /** Moves a blob to where `sweep` deletes it: quick, however large the file is. */
  async discard(digest: Digest): Promise<void> {
    await this.#moveAside(digest, 'garbage');
  }

  /** Every blob file with its size in bytes; files that are not named by a digest are left out. */
  async *list(): AsyncGenerator<{ readonly digest: Digest; readonly size: number; readonly modifiedMs: number }> {
    for (const algorithm of ['sha256', 'sha512']) {
      const names = await readdir(join(this.#root, 'blobs', algorithm)).catch((): string[] => []);
      for (const name of names) {
        const digest = `${algorithm}:${name}`;
        const stats = isDigest(digest) ? await statOrMissing(this.pathOf(digest)) : undefined;
        if (isDigest(digest) && stats?.isFile() === true) yield { digest, size: Number(stats.size), modifiedMs: Number(stats.mtimeMs) };
      }
    }
  }

  /** Forgets which blobs were verified, but those that `keeps` names. */
  async forget(keeps: (digest: string) => boolean): Promise<void> {
    await this.#stamps.compact(keeps);
  }

  /**
   * Hashes the whole file, whatever is remembered of it, and remembers it where it is right. Returns the digest that it has; undefined
   * when it is gone. @throws KitError PATH_UNREADABLE | IO_FAILED
   */
  async verify(digest: Digest, onBytes: (count: number) => void, signal?: AbortSignal): Promise<Digest | undefined> {
    const path = this.pathOf(digest);
    const stats = await statOrMissing(path);
    if (stats === undefined) return undefined;
    // a pipe would be waited for
    if (!stats.isFile()) throw new KitError('PATH_UNSUPPORTED', `${path} is not a regular file`);
    const size = Number(stats.size);
    const digester = new StreamDigester(digestAlgorithm(digest), size);
    try {
      const blob = { mediaType: 'application/octet-stream', digest, size };
      for await (const chunk of readFileRange(path, blob, { start: 0, end: size }, signal)) {
        await digester.update(chunk);
        onBytes(chunk.byteLength);
        releaseChunk(chunk);
      }
      const found = await digester.digest();
      if (found === digest) await this.#stamps.add(digest, stats);
      return found;
    } finally {
      digester.abandon();
    }
  }

  /** Moves a damaged blob to `ingest/`, so that the next transfer brings it anew. Returns where it is now. */
  async setAside(digest: Digest): Promise<string> {
    return await this.#moveAside(digest, 'damaged');
  }

  async #store(blob: Descriptor, source: BlobSource, options: CallOptions): Promise<void> {
    await this.#prepare();
    if (await this.has(blob, options)) return;
    await this.#ingest.write(blob, source, async ({ path, digest }) => await this.#accept(digest, path), options);
  }

  async #accept(digest: Digest, ingested: string): Promise<void> {
    const path = this.pathOf(digest);
    await withPath(path, async () => {
      await mkdir(dirname(path), { recursive: true });
      await rename(ingested, path);
    });
    this.#unsettled.add(dirname(path));
    const stats = await statOrMissing(path);
    if (stats !== undefined) await this.#stamps.add(digest, stats);
  }

  async #isSound(digest: Digest, path: string, stats: BigIntStats, options: CallOptions): Promise<boolean> {
    if (await this.#stamps.trusts(digest, stats)) return true;
    if (!stats.isFile() || (await hashFile(path, digest, Number(stats.size), options.signal)) !== digest) return false;
    // stamped with what stat said before: a change while hashing shows in the next stat
    await this.#stamps.add(digest, stats);
    return true;
  }

  async #setAside(digest: Digest, path: string, options: CallOptions): Promise<void> {
    const aside = await this.setAside(digest);
    options.onEvent?.({
      type: 'warning',
      code: 'STORE_BLOB_DAMAGED',
      message: `${path} does not have the content that its name promises; it was moved to ${aside}`,
    });
  }

  async #moveAside(digest: Digest, suffix: 'damaged' | 'garbage'): Promise<string> {
    const path = this.pathOf(digest);
    const aside = join(this.#root, 'ingest', `${digestAlgorithm(digest)}-${digestHex(digest)}.${suffix}`);
    await withPath(path, async () => {
      await mkdir(dirname(aside), { recursive: true });
      await rename(path, aside);
    });
    return aside;
  }
}

async function statOrMissing(path: string): Promise<BigIntStats | undefined> {
  try {
    return await stat(path, { bigint: true });
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw asPathError(error, path);
  }
}

async function openBlob(path: string, blob: Descriptor): Promise<FileHandle> {
  return await withPath(path, async () => {
    try {
      return await open(path, 'r');
    } catch (error) {
      throw isErrno(error, 'ENOENT', 'ENOTDIR') ? missing(path, blob) : error;
    }
  });
}

function missing(path: string, blob: Descriptor): KitError {
  return new KitError('BLOB_NOT_FOUND', `${blob.digest} is missing: there is no ${path}`, {
    hint: 'pull or copy the artifact again to repair it',
  });
}

async function hashFile(path: string, digest: Digest, size: number, signal: AbortSignal | undefined): Promise<Digest> {
  const digester = new StreamDigester(digestAlgorithm(digest), size);
  try {
    await digestFile(path, digester, { signal });
    return await digester.digest();
  } finally {
    digester.abandon();
  }
}

function readFileRange(path: string, blob: Descriptor, range: ByteRange, signal: AbortSignal | undefined): Bytes {
  const cutOff = (position: number): KitError =>
    new KitError('SIZE_MISMATCH', `${blob.digest}: ${path} was cut off at ${position} bytes while it was read`);
  const failed = (error: unknown): unknown => asPathError(error, path);
  return fileBytes(async () => ({ handle: await openBlob(path, blob), failed, cutOff }), range, signal, paceOf(blob));
}
