import { createHash } from 'node:crypto';
import type { ByteRange, Bytes } from '../blobs/source.ts';
import { verified } from '../blobs/verified.ts';
import { KitError } from '../errors.ts';
import type { CallOptions } from '../events.ts';
import type { Digest } from '../oci/digest.ts';

/** A file that lies elsewhere. */
export interface RemoteFile {
  /** Relative, with `/`; checked to be safe. */
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  /** Permission bits. */
  readonly mode: number;
  /** SHA-256 of the content, as git LFS names it; undefined where the source does not say. */
  readonly digest: Digest | undefined;
  /** The id that git gives a small file: SHA-1 over its size and content. */
  readonly blobId: string | undefined;
  /** Not verified: `openVerified` is. */
  open(range: ByteRange | undefined, call: CallOptions): Bytes;
  /** Turns to the source where a copy of this machine was read so far. False when there was none. */
  dropCopy?(): boolean;
}

/** The whole file, checked against what the source names it by. @throws KitError DIGEST_MISMATCH | SIZE_MISMATCH */
export async function* openVerified(file: RemoteFile, call: CallOptions): AsyncGenerator<Uint8Array> {
  const bytes = file.open(undefined, call);
  if (file.digest !== undefined) yield* verified(bytes, { mediaType: 'application/octet-stream', digest: file.digest, size: file.size });
  else yield* checked(bytes, file);
}

async function* checked(bytes: Bytes, { path, size, blobId }: RemoteFile): AsyncGenerator<Uint8Array> {
  const hash = createHash('sha1').update(`blob ${size}\0`);
  let received = 0;
  for await (const chunk of bytes) {
    received += chunk.byteLength;
    if (received > size) break;
    if (blobId !== undefined) hash.update(chunk);
    yield chunk;
  }
  if (received !== size)
    throw new KitError('SIZE_MISMATCH', `${path}: ${received > size ? `more than ${size}` : received} bytes arrived instead of ${size}`);
  if (blobId !== undefined && hash.digest('hex') !== blobId)
    throw new KitError('DIGEST_MISMATCH', `${path}: the content is not that of the git object ${blobId}`, {
      hint: 'it was changed or damaged on the way; import it again',
    });
}

/** A small file in memory, verified. @throws KitError LIMIT_EXCEEDED | DIGEST_MISMATCH | SIZE_MISMATCH */
export async function readRemoteFile(file: RemoteFile, limit: number, call: CallOptions): Promise<Buffer> {
  if (file.size > limit) throw new KitError('LIMIT_EXCEEDED', `${file.path} has ${file.size} bytes, the limit is ${limit}`);
  const chunks: Uint8Array[] = [];
  for await (const chunk of openVerified(file, call)) chunks.push(chunk);
  return Buffer.concat(chunks);
}
