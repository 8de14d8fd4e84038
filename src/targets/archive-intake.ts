import type { Bytes } from '../blob-source.ts';
import { TarReader } from '../blobs/tar-reader.ts';
import { releaseChunk } from '../chunk.ts';
import { isKitError, KitError } from '../errors.ts';
import type { CallOptions } from '../events.ts';
import { type Digest, digestAlgorithm, digestHex, isDigest } from '../oci/digest.ts';
import { archiveIndex, checkSmallMember, isSmallMember, type SmallMember } from './archive-index.ts';
import { archiveError, decompressorFor, memberName } from './archive-reader.ts';
import type { BlobDirectory } from './blob-directory.ts';
import { IndexedTarget } from './indexed-target.ts';

/**
 * Reads an archive that can be read only once, such as a pipe, in whatever order its members come: each blob goes straight to where
 * blobs are kept, if it has the digest that it is named by. Returns the archive as a layout to read from. Nothing is listed or tagged:
 * the caller holds a lease on the blobs until that is done.
 * @throws KitError STORE_INVALID | DIGEST_MISMATCH | UNSAFE_PATH | UNSAFE_ENTRY | LIMIT_EXCEEDED, or what the stream throws
 */
export async function takeInArchive(archive: Bytes, name: string, blobs: BlobDirectory, call: CallOptions = {}): Promise<IndexedTarget> {
  const reader = new TarReader(uncompressed(archive, name), name);
  const seen = new Set<string>();
  const small = new Map<string, Buffer>();
  try {
    for (let entry = await reader.next(); entry !== undefined; entry = await reader.next()) {
      call.signal?.throwIfAborted();
      const member = memberName(name, entry.path, entry.type, seen);
      if (member === undefined) continue;
      seen.add(member);
      const digest = member.replace(/^blobs\/([^/]+)\/([^/]+)$/, '$1:$2');
      if (isSmallMember(member)) {
        checkSmallMember(name, member, entry);
        small.set(member, Buffer.concat(await Array.fromAsync(reader.content())));
      } else if (isDigest(digest)) await takeInBlob(reader, digest, entry.size, blobs, call);
    }
  } catch (error) {
    throw archiveError(error, name);
  } finally {
    await reader.close();
  }
  const content = (member: SmallMember): Buffer => checkSmallMember(name, member, sized(small.get(member))).bytes;
  const { manifests } = archiveIndex(name, { 'oci-layout': content('oci-layout'), 'index.json': content('index.json') });
  return new IndexedTarget(name, blobs, {
    read: async () => await Promise.resolve(manifests),
    update: async () => await Promise.reject(new KitError('INTERNAL', `${name} is only read`)),
  });
}

function sized(bytes: Buffer | undefined): { readonly size: number; readonly bytes: Buffer } | undefined {
  return bytes && { size: bytes.byteLength, bytes };
}

async function takeInBlob(reader: TarReader, digest: Digest, size: number, blobs: BlobDirectory, call: CallOptions): Promise<void> {
  const label = digestHex(digest).slice(0, 12);
  call.onEvent?.({ type: 'blob', id: digest, action: 'pull', label, total: size });
  // the reader skips what is there already
  const exists = await blobs.has({ mediaType: 'application/octet-stream', digest, size }, call);
  if (!exists) {
    const upload = await blobs.beginUpload(digestAlgorithm(digest));
    try {
      await upload.append(counted(reader.content(), digest, call));
      await upload.commit(digest);
    } catch (error) {
      throw isKitError(error, 'DIGEST_MISMATCH') ? damaged(error) : error;
    } finally {
      await upload.cancel();
    }
  }
  call.onEvent?.({ type: 'done', id: digest, outcome: exists ? 'exists' : 'copied' });
}

function damaged(error: KitError): KitError {
  return new KitError(error.code, error.message, {
    hint: 'the archive was changed or damaged; copy it anew from where it was saved',
    cause: error,
  });
}

async function* counted(bytes: Bytes, id: Digest, { onEvent, signal }: CallOptions): Bytes & AsyncGenerator<Uint8Array> {
  for await (const chunk of bytes) {
    signal?.throwIfAborted();
    // told before: whoever gets the chunk may give it back
    onEvent?.({ type: 'bytes', id, delta: chunk.byteLength });
    yield chunk;
  }
}

/** The bytes as they are. @throws KitError STORE_INVALID when there are none, or they begin as those of a compressed file do */
async function* uncompressed(bytes: Bytes, name: string): Bytes & AsyncGenerator<Uint8Array> {
  let isFirst = true;
  for await (const chunk of bytes) {
    const tool = isFirst ? decompressorFor(chunk) : undefined;
    isFirst = false;
    if (tool !== undefined) {
      releaseChunk(chunk);
      throw new KitError('STORE_INVALID', `${name} is compressed; an OCI archive is a plain tar file`, {
        hint: `decompress it on the way: \`${tool} < FILE | kit load\``,
      });
    }
    yield chunk;
  }
  if (isFirst) throw new KitError('STORE_INVALID', `${name} is empty`, { hint: 'check that what writes the archive succeeded' });
}
