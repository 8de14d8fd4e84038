import type { ByteRange, Bytes } from '../blob-source.ts';
import { KitError } from '../errors.ts';
import type { CallOptions } from '../events.ts';
import type { Digest } from '../oci/digest.ts';
import { VerifiedReader } from './verified-reader.ts';

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
  /** What a web server or S3 tells versions of the file by. Weak ones are left out. */
  readonly etag?: string | undefined;
  /** Asks the source for a SHA-256 that it did not give unasked. */
  readonly lookUpDigest?: ((call: CallOptions) => Promise<Digest | undefined>) | undefined;
  /** Not verified: see VerifiedReader. */
  open(range: ByteRange, call: CallOptions): Bytes;
  /** Turns to the source where a copy on this machine was read so far. False when there was none. */
  dropCopy?(): boolean;
}

/** A small file in memory, verified. @throws KitError LIMIT_EXCEEDED | DIGEST_MISMATCH | SIZE_MISMATCH */
export async function readRemoteFile(file: RemoteFile, limit: number, call: CallOptions): Promise<Buffer> {
  if (file.size > limit) throw new KitError('LIMIT_EXCEEDED', `${file.path} has ${file.size} bytes, the limit is ${limit}`);
  const chunks: Uint8Array[] = [];
  for await (const chunk of new VerifiedReader(file).open({ start: 0, end: file.size }, call)) chunks.push(chunk);
  return Buffer.concat(chunks);
}
