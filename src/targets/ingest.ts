import { type FileHandle, mkdir, open, readdir, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { writeBehind } from '../blobs/file-writer.ts';
import type { BlobSource } from '../blobs/source.ts';
import { isKitError, KitError } from '../errors.ts';
import type { CallOptions } from '../events.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { type Digest, digestAlgorithm, Digester, digestHex } from '../oci/digest.ts';
import { isErrno, withPath } from './io-error.ts';
import { type Lock, tryLock } from './lock.ts';
import { sweepTemporary, temporaryName } from './temporary-name.ts';

const READ_BYTES = 1024 * 1024;
const SHARED = /^sha(?:256|512)-[0-9a-f]+\.partial$/;

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

  /** Deletes what dead processes left; with `partials` also downloads that could still be resumed. Never what is being written. */
  async sweep({ partials = false }: { partials?: boolean } = {}): Promise<void> {
    await sweepTemporary(this.#directory);
    const names = await readdir(this.#directory).catch((): string[] => []);
    for (const name of names) {
      const path = join(this.#directory, name);
      if (/\.(?:damaged|garbage)$/.test(name)) await unlink(path).catch(() => undefined);
      if (partials && SHARED.test(name)) await unlinkUnclaimed(path);
      // taking it breaks it where its process is dead
      if (/\.lock(?:\.[0-9a-f]+)*$/.test(name)) await (await tryLock(path))?.release();
    }
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
    const path = join(this.#directory, `private-${temporaryName()}.partial`);
    try {
      return await receive(await fill(path, source, blob, options));
    } finally {
      // gone already when it was received
      await unlink(path).catch(() => undefined);
    }
  }
}

async function unlinkUnclaimed(path: string): Promise<void> {
  const claim: Lock | undefined = await tryLock(`${path}.lock`);
  if (claim === undefined) return;
  await unlink(path).catch(() => undefined);
  await claim.release();
}

/** Completes the file at `path` from `source`, from where it ends. */
async function fill(
  path: string,
  source: BlobSource,
  blob: Descriptor | undefined,
  options: CallOptions,
  onResume?: (bytes: number) => void,
): Promise<Ingested> {
  const handle = await withPath(path, async () => await openForUpdate(path));
  const digester = new Digester(blob === undefined ? 'sha256' : digestAlgorithm(blob.digest));
  let size = 0;
  try {
    size = await withPath(path, async () => await rehash(handle, digester, blob, options.signal));
    onResume?.(size);
    size = await append(handle, path, source, digester, size, blob, options.signal);
  } finally {
    await handle.close();
  }
  const digest = digester.digest();
  if (blob !== undefined && size !== blob.size) throw sizeMismatch(blob, String(size));
  if (blob !== undefined && digest !== blob.digest) {
    throw new KitError('DIGEST_MISMATCH', `${blob.digest}: the content has digest ${digest}`, {
      hint: 'the content was changed or damaged; fetch it again from a source that you trust',
    });
  }
  return { path, digest, size };
}

async function openForUpdate(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'r+');
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error;
    return await open(path, 'wx+');
  }
}

/** Hashes what an earlier attempt left; a part longer than the blob is useless and cut off. */
async function rehash(
  handle: FileHandle,
  digester: Digester,
  blob: Descriptor | undefined,
  signal: AbortSignal | undefined,
): Promise<number> {
  const { size } = await handle.stat();
  if (size === 0) return 0;
  if (blob === undefined || size > blob.size) {
    await handle.truncate(0);
    return 0;
  }
  const buffer = Buffer.allocUnsafe(Math.min(READ_BYTES, size));
  let position = 0;
  while (position < size) {
    signal?.throwIfAborted();
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, position);
    if (bytesRead === 0) break;
    digester.update(buffer.subarray(0, bytesRead));
    position += bytesRead;
  }
  return position;
}

async function append(
  handle: FileHandle,
  path: string,
  source: BlobSource,
  digester: Digester,
  start: number,
  blob: Descriptor | undefined,
  signal: AbortSignal | undefined,
): Promise<number> {
  signal?.throwIfAborted();
  if (blob !== undefined && start > 0 && start === blob.size) return start;
  let received = start;
  const range = blob !== undefined && start > 0 ? { start, end: blob.size } : undefined;
  async function* hashed(): AsyncGenerator<Uint8Array> {
    for await (const chunk of source.open(range, signal)) {
      signal?.throwIfAborted();
      received += chunk.byteLength;
      if (blob !== undefined && received > blob.size) throw sizeMismatch(blob, `more than ${blob.size}`);
      digester.update(chunk);
      yield chunk;
    }
  }
  // hashed while the thread pool writes what came before
  let written = start;
  const file = {
    writev: async (chunks: readonly Uint8Array[]) => {
      const result = await handle.writev(chunks, written);
      written += result.bytesWritten;
      return result;
    },
  };
  await writeBehind(file, path, hashed());
  return received;
}

function sizeMismatch(blob: Descriptor, received: string): KitError {
  return new KitError('SIZE_MISMATCH', `${blob.digest}: ${received} bytes arrived where its descriptor says ${blob.size}`, {
    hint: 'the content was cut off or its manifest is wrong; fetch it again from a source that you trust',
  });
}
