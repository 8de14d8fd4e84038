import { mkdir, realpath, rename, stat, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { DirectFile } from '../blobs/direct-file.ts';
import { writeBehind } from '../blobs/file-writer.ts';
import type { Bytes } from '../blob-source.ts';
import { encodeTarHeader, paddingFor } from '../blobs/tar-header.ts';
import { verified } from '../blobs/verified.ts';
import { KitError } from '../errors.ts';
import type { CallOptions } from '../events.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { digestAlgorithm, digestHex } from '../oci/digest.ts';
import type { Index } from '../oci/manifest.ts';
import { isErrno, withPath } from './io-error.ts';
import { LAYOUT_MARKER, serializeIndex } from './layout-index.ts';
import { syncDirectory, syncFile } from './sync-file.ts';
import { sweepTemporary, temporaryName } from './temporary-name.ts';

/** Two zero blocks end a tar file. */
const END_BYTES = 1024;

/** A blob of the archive; opened when its turn comes. */
export interface ArchivedBlob {
  readonly blob: Descriptor;
  readonly open: () => Promise<Bytes> | Bytes;
}

/**
 * An image layout as one tar stream: the same index and blobs give the same bytes, whatever their order was. Blobs are verified on
 * their way. @throws KitError DIGEST_MISMATCH | SIZE_MISMATCH, or what a blob throws
 */
export async function* archiveStream(
  index: Index,
  blobs: readonly ArchivedBlob[],
  { signal }: CallOptions = {},
): Bytes & AsyncGenerator<Uint8Array> {
  // the small files first: a reader of the stream knows what comes
  yield* member('oci-layout', Buffer.from(LAYOUT_MARKER));
  yield* member('index.json', Buffer.from(serializeIndex(index)));
  for (const { blob, open } of blobs.toSorted((a, b) => (a.blob.digest < b.blob.digest ? -1 : 1))) {
    signal?.throwIfAborted();
    yield header(`blobs/${digestAlgorithm(blob.digest)}/${digestHex(blob.digest)}`, blob.size);
    for await (const chunk of verified(await open(), blob)) {
      signal?.throwIfAborted();
      yield chunk;
    }
    yield Buffer.alloc(paddingFor(blob.size));
  }
  yield Buffer.alloc(END_BYTES);
}

function* member(path: string, content: Buffer): Generator<Uint8Array> {
  yield header(path, content.byteLength);
  yield content;
  yield Buffer.alloc(paddingFor(content.byteLength));
}

function header(path: string, size: number): Uint8Array {
  return encodeTarHeader({ path, type: 'file', mode: 0o644, size });
}

/**
 * Writes the stream as `file`, which is replaced when all of it is on the disk; before that it stays as it was. Returns its size in
 * bytes. @throws KitError USAGE when it is there and no regular file, DISK_FULL | IO_FAILED, or what the stream throws
 */
export async function writeArchiveFile(file: string, archive: Bytes): Promise<number> {
  const target = await replaceable(file);
  const folder = dirname(target);
  const temporary = join(folder, `.${basename(target)}.${temporaryName()}.tmp`);
  return await withPath(file, async () => {
    try {
      await mkdir(folder, { recursive: true });
      const handle = await DirectFile.open(temporary, { exclusive: true });
      let size: number;
      try {
        size = await writeBehind(handle, file, archive);
      } finally {
        await handle.close();
      }
      await syncFile(temporary);
      await rename(temporary, target);
      await syncDirectory(folder);
      await sweepTemporary(folder, `.${basename(target)}.`);
      return size;
    } catch (error) {
      await unlink(temporary).catch(() => undefined);
      throw error;
    }
  });
}

/** Where a rename puts the new file: behind links, and never in the place of a device or a pipe. */
async function replaceable(file: string): Promise<string> {
  return await withPath(file, async () => {
    try {
      const stats = await stat(file);
      if (stats.isFile()) return await realpath(file);
      const kind = stats.isDirectory() ? 'a directory' : 'a device or a pipe';
      throw new KitError('USAGE', `${file} is ${kind}, where a file is to be written`, {
        hint: stats.isDirectory() ? `name a file in it: \`${join(file, 'model.tar')}\`` : '`-o -` writes to standard output',
      });
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return file;
      throw error;
    }
  });
}
