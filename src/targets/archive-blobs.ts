import type { BlobSource, Bytes } from '../blob-source.ts';
import { releaseChunk } from '../chunk.ts';
import { KitError } from '../errors.ts';
import type { CallOptions } from '../events.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { type Digest, digestAlgorithm, Digester, digestHex, isDigest } from '../oci/digest.ts';
import type { ArchiveMember, ArchiveReader } from './archive-reader.ts';
import type { BlobDirectory } from './blob-directory.ts';
import type { BlobStore } from './indexed-target.ts';
import type { FetchOptions } from './types.ts';

/** The blobs of an archive, and in front of them those that came since it was opened. */
export class ArchiveBlobs implements BlobStore {
  readonly #reader: ArchiveReader | undefined;
  readonly #added: () => Promise<BlobDirectory>;
  readonly #addedNow: () => BlobDirectory | undefined;
  readonly #sound = new Map<Digest, Promise<boolean>>();
  readonly #removed = new Set<Digest>();

  /** `added` makes the place for new blobs when the first one comes; `addedNow` does not. */
  constructor(reader: ArchiveReader | undefined, added: () => Promise<BlobDirectory>, addedNow: () => BlobDirectory | undefined) {
    this.#reader = reader;
    this.#added = added;
    this.#addedNow = addedNow;
  }

  async has(blob: Descriptor, options: CallOptions = {}): Promise<boolean> {
    if (await this.#addedNow()?.has(blob, options)) return true;
    const member = this.#member(blob.digest);
    if (member === undefined || member.size !== blob.size) return false;
    let sound = this.#sound.get(blob.digest);
    if (sound === undefined) {
      sound = this.#isSound(blob.digest, member, options.signal);
      this.#sound.set(blob.digest, sound);
      sound.catch(() => this.#sound.delete(blob.digest));
    }
    return await sound;
  }

  async fetch(blob: Descriptor, options: FetchOptions = {}): Promise<Bytes> {
    const added = this.#addedNow();
    if ((await added?.sizeOf(blob.digest)) !== undefined && added !== undefined) return await added.fetch(blob, options);
    const member = this.#member(blob.digest);
    if (member === undefined || this.#reader === undefined) {
      throw new KitError('BLOB_NOT_FOUND', `${blob.digest} is not in the archive`);
    }
    if (member.size !== blob.size) {
      throw new KitError('SIZE_MISMATCH', `${blob.digest}: it has ${member.size} bytes where its descriptor says ${blob.size}`);
    }
    return this.#reader.read(member, options.range, options.signal);
  }

  async push(blob: Descriptor, source: BlobSource, options: CallOptions = {}): Promise<void> {
    if (await this.has(blob, options)) return;
    await (await this.#added()).push(blob, source, options);
    this.#removed.delete(blob.digest);
  }

  async pushUnhashed(mediaType: string, source: BlobSource, options: CallOptions = {}): Promise<Descriptor> {
    const blob = await (await this.#added()).pushUnhashed(mediaType, source, options);
    this.#removed.delete(blob.digest);
    return blob;
  }

  async remove(digest: Digest): Promise<void> {
    this.#removed.add(digest);
    await this.#addedNow()?.remove(digest);
  }

  async sizeOf(digest: Digest): Promise<number | undefined> {
    return (await this.#addedNow()?.sizeOf(digest)) ?? this.#member(digest)?.size;
  }

  /** Every blob once, sorted by digest. */
  async all(): Promise<{ readonly digest: Digest; readonly size: number }[]> {
    const sizes = new Map<Digest, number>();
    for (const [name, { size }] of this.#reader?.members ?? []) {
      const digest = name.replace(/^blobs\/([^/]+)\/([^/]+)$/, '$1:$2');
      if (isDigest(digest) && !this.#removed.has(digest)) sizes.set(digest, size);
    }
    const added = this.#addedNow();
    if (added !== undefined) for await (const { digest, size } of added.list()) sizes.set(digest, size);
    return [...sizes].map(([digest, size]) => ({ digest, size })).toSorted((a, b) => (a.digest < b.digest ? -1 : 1));
  }

  #member(digest: Digest): ArchiveMember | undefined {
    if (this.#removed.has(digest)) return undefined;
    return this.#reader?.members.get(`blobs/${digestAlgorithm(digest)}/${digestHex(digest)}`);
  }

  async #isSound(digest: Digest, member: ArchiveMember, signal: AbortSignal | undefined): Promise<boolean> {
    const digester = new Digester(digestAlgorithm(digest));
    for await (const chunk of this.#reader?.read(member, undefined, signal) ?? []) {
      digester.update(chunk);
      releaseChunk(chunk);
    }
    return digester.digest() === digest;
  }
}
