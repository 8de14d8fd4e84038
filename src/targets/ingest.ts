import { existsSync } from 'node:fs';
import { chmod, mkdir, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { digestFile } from '../blobs/digest-file.ts';
import { digestOfSource } from '../blobs/digest-source.ts';
import { digested } from '../blobs/digested.ts';
import { DirectFile } from '../blobs/direct-file.ts';
import { MAX_UNORDERED, writeBehind } from '../blobs/file-writer.ts';
import type { BlobSource } from '../blob-source.ts';
import { CHUNK_BYTES } from '../chunk.ts';
import { isKitError, KitError } from '../errors.ts';
import type { CallOptions } from '../events.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { type Digest, digestAlgorithm, digestHex } from '../oci/digest.ts';
import { StreamDigester } from '../oci/stream-digester.ts';
import { tapped } from '../tapped.ts';
import { withPath } from './io-error.ts';
import { tryLock } from './lock.ts';
import { temporaryName } from './temporary-name.ts';

const BLOB_MODE = 0o644;

/** A file in ingest/ that holds what it should, to be renamed by the receiver. */
interface Ingested {
  readonly path: string;
  readonly digest: Digest;
  readonly size: number;
}

type Receive<T> = (ingested: Ingested) => Promise<T>;

/**
 * Where blobs arrive before they have their final name. A blob with a known digest arrives in `ALG-HEX.partial`, which a later
 * push goes on with; one process writes it at a time, another that wants the same blob meanwhile writes a private file.
 */
export class Ingest {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Hands the complete file to `receive`. @throws KitError DIGEST_MISMATCH | SIZE_MISMATCH | DISK_FULL | IO_FAILED, or what `source` throws */
  async write<T>(blob: Descriptor, source: BlobSource, receive: Receive<T>, options: CallOptions = {}): Promise<T> {
    await this.#prepare();
    const shared = join(this.#directory, `${digestAlgorithm(blob.digest)}-${digestHex(blob.digest)}.partial`);
    const claim = await tryLock(`${shared}.lock`);
    if (claim === undefined) return await this.#writePrivate(source, blob, receive, options);
    try {
      return await this.#resume(shared, source, blob, receive, options);
    } finally {
      await claim.release();
    }
  }

  /** The same for content whose digest is not known yet. */
  async writeUnhashed<T>(source: BlobSource, receive: Receive<T>, options: CallOptions = {}): Promise<T> {
    await this.#prepare();
    return await this.#writePrivate(source, undefined, receive, options);
  }

  /** The path of a new file for this process alone. Whoever asks writes it, and takes it away. */
  async reserve(): Promise<string> {
    await this.#prepare();
    return this.#privatePath();
  }

  #privatePath(): string {
    return join(this.#directory, `private-${temporaryName()}.partial`);
  }

  async #prepare(): Promise<void> {
    await withPath(this.#directory, async () => await mkdir(this.#directory, { recursive: true }));
  }

  async #resume<T>(path: string, source: BlobSource, blob: Descriptor, receive: Receive<T>, options: CallOptions): Promise<T> {
    let resumed = false;
    try {
      const ingested = await fill(path, source, blob, options, (bytes) => (resumed = bytes > 0));
      return await receive(ingested);
    } catch (error) {
      if (!isKitError(error, 'DIGEST_MISMATCH', 'SIZE_MISMATCH')) throw error;
      await unlink(path).catch(() => undefined);
      if (!resumed) throw error;
    }
    // the part found here may have been the wrong one: once more from the start
    try {
      return await receive(await fill(path, source, blob, options));
    } catch (error) {
      if (isKitError(error, 'DIGEST_MISMATCH', 'SIZE_MISMATCH')) await unlink(path).catch(() => undefined);
      throw error;
    }
  }

  async #writePrivate<T>(source: BlobSource, blob: Descriptor | undefined, receive: Receive<T>, options: CallOptions): Promise<T> {
    const path = this.#privatePath();
    try {
      return await receive(await fill(path, source, blob, options));
    } finally {
      // gone already when it was received
      await unlink(path).catch(() => undefined);
    }
  }
}

/** Completes the file at `path` from `source`, from where it ends. */
async function fill(
  path: string,
  source: BlobSource,
  blob: Descriptor | undefined,
  options: CallOptions,
  onResume?: (bytes: number) => void,
): Promise<Ingested> {
  const algorithm = blob === undefined ? 'sha256' : digestAlgorithm(blob.digest);
  const isCloned = !existsSync(path) && (await clone(source, path));
  const file = await withPath(path, async () => await DirectFile.open(path));
  const digester = new StreamDigester(algorithm, blob?.size ?? source.size);
  try {
    if (isCloned) {
      const { digest, size } = await digestOfClone(path, source, digester, options.signal);
      return { path, digest: checked(blob, size, digest), size };
    }
    const start = await withPath(path, async () => await rehash(file, path, digester, blob, options.signal));
    onResume?.(start);
    const size = await append(file, path, source, digester, start, blob, options.signal);
    return { path, digest: checked(blob, size, await digester.digest()), size };
  } finally {
    digester.abandon();
    await file.close();
  }
}

function checked(blob: Descriptor | undefined, size: number, digest: Digest): Digest {
  if (blob !== undefined && size !== blob.size) throw sizeMismatch(blob, String(size));
  if (blob !== undefined && digest !== blob.digest) {
    throw new KitError('DIGEST_MISMATCH', `${blob.digest}: the content has digest ${digest}`, {
      hint: 'the content was changed or damaged; fetch it again from a source that you trust',
    });
  }
  return digest;
}

/** A file may be in the page cache, its clone never is: the file is read where that proves the same. */
async function digestOfClone(
  path: string,
  source: BlobSource,
  digester: StreamDigester,
  signal: AbortSignal | undefined,
): Promise<{ readonly digest: Digest; readonly size: number }> {
  if (source.matchesClone !== undefined && digester.algorithm === 'sha256') {
    const read = await digestOfSource(source, signal);
    if (await source.matchesClone()) return read;
  }
  const size = await digestFile(path, digester, { signal });
  return { digest: await digester.digest(), size };
}

async function clone(source: BlobSource, path: string): Promise<boolean> {
  if (!((await source.cloneTo?.(path)) ?? false)) return false;
  // it came with the mode of the user's file
  await withPath(path, async () => await chmod(path, BLOB_MODE));
  return true;
}

/** Hashes what an earlier attempt left, without the end where a killed one may have left gaps, and cuts off the rest. Returns its size. */
async function rehash(
  file: DirectFile,
  path: string,
  digester: StreamDigester,
  blob: Descriptor | undefined,
  signal: AbortSignal | undefined,
): Promise<number> {
  const size = await file.size();
  if (size === 0) return 0;
  const kept =
    blob === undefined || size > blob.size ? 0 : size === blob.size || size <= MAX_UNORDERED ? size : wholeChunks(size - MAX_UNORDERED);
  if (kept < size) await file.truncate(kept);
  await digestFile(path, digester, { end: kept, signal });
  return kept;
}

// chunks that begin where blocks of the file do can be written past the page cache
function wholeChunks(size: number): number {
  return size - (size % CHUNK_BYTES);
}

async function append(
  file: DirectFile,
  path: string,
  source: BlobSource,
  digester: StreamDigester,
  start: number,
  blob: Descriptor | undefined,
  signal: AbortSignal | undefined,
): Promise<number> {
  signal?.throwIfAborted();
  if (blob !== undefined && start > 0 && start === blob.size) return start;
  let received = start;
  const range = blob !== undefined && start > 0 ? { start, end: blob.size } : undefined;
  const bytes = tapped(digested(source.open(range, signal), digester), {
    handing: (count) => {
      signal?.throwIfAborted();
      received += count;
      if (blob !== undefined && received > blob.size) throw sizeMismatch(blob, `more than ${blob.size}`);
    },
  });
  return await writeBehind(file, path, bytes, start);
}

function sizeMismatch(blob: Descriptor, received: string): KitError {
  return new KitError('SIZE_MISMATCH', `${blob.digest}: ${received} bytes arrived where its descriptor says ${blob.size}`, {
    hint: 'the content was cut off or its manifest is wrong; fetch it again from a source that you trust',
  });
}
