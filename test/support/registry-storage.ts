import { createReadStream } from 'node:fs';
import { mkdir, open, rename, rm, stat, writeFile, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { type Digest, digestAlgorithm, Digester, digestHex, digestOf } from '../../src/oci/digest.ts';

export interface StoredManifest {
  readonly mediaType: string;
  readonly bytes: Uint8Array;
}

interface Repository {
  readonly blobs: Set<Digest>;
  readonly manifests: Map<Digest, StoredManifest>;
  readonly tags: Map<string, Digest>;
}

/** A blob that is arriving: appended to, then checked and committed. */
export interface Upload {
  readonly id: string;
  readonly repository: string;
  size: number;
  /** Changes with each answer, so that a client that ignores the new Location fails. */
  state: number;
  /** Set after a chunk below the minimum: it has to be the last. */
  shortChunk: boolean;
  /** For a file: what is in memory is hashed at its end. */
  readonly digester: Digester;
  readonly chunks: Uint8Array[];
  readonly file: FileHandle | undefined;
}

/** Blobs by digest, in memory or in a directory; links, manifests and tags by repository, in memory. */
export class RegistryStorage {
  readonly uploads = new Map<string, Upload>();
  readonly #directory: string | undefined;
  readonly #blobs = new Map<Digest, Uint8Array | string>();
  readonly #repositories = new Map<string, Repository>();
  #uploadCount = 0;

  constructor(directory: string | undefined) {
    this.#directory = directory;
  }

  find(name: string): Repository | undefined {
    return this.#repositories.get(name);
  }

  repository(name: string): Repository {
    let repository = this.#repositories.get(name);
    if (repository === undefined) {
      repository = { blobs: new Set(), manifests: new Map(), tags: new Map() };
      this.#repositories.set(name, repository);
    }
    return repository;
  }

  repositories(): string[] {
    return [...this.#repositories.keys()].toSorted();
  }

  async addBlob(repository: string, bytes: Uint8Array): Promise<Digest> {
    const digest = digestOf(bytes);
    await this.replaceBlob(digest, bytes);
    this.repository(repository).blobs.add(digest);
    return digest;
  }

  /** The same in memory, of bytes whose digest is known already. */
  linkBlob(repository: string, digest: Digest, bytes: Uint8Array): void {
    this.#blobs.set(digest, bytes);
    this.repository(repository).blobs.add(digest);
  }

  /** Stores `bytes` under `digest` whatever they are: this is how a test damages a blob. */
  async replaceBlob(digest: Digest, bytes: Uint8Array): Promise<void> {
    if (this.#directory === undefined) {
      this.#blobs.set(digest, bytes);
      return;
    }
    await mkdir(this.#directory, { recursive: true });
    const path = join(this.#directory, digestHex(digest));
    await writeFile(path, bytes);
    this.#blobs.set(digest, path);
  }

  has(repository: string, digest: Digest): boolean {
    return this.find(repository)?.blobs.has(digest) ?? false;
  }

  async size(digest: Digest): Promise<number> {
    const blob = this.#blobs.get(digest);
    if (blob === undefined) throw new Error(`no blob ${digest}`);
    return typeof blob === 'string' ? (await stat(blob)).size : blob.byteLength;
  }

  async *read(digest: Digest, start: number, end: number): AsyncGenerator<Uint8Array> {
    const blob = this.#blobs.get(digest);
    if (blob === undefined) throw new Error(`no blob ${digest}`);
    if (end <= start) return;
    if (typeof blob !== 'string') {
      // small pieces, so that a client sees more than one chunk
      const piece = blob.byteLength > 4 * 1024 * 1024 ? 128 * 1024 : 16 * 1024;
      for (let at = start; at < end; at += piece) yield blob.subarray(at, Math.min(end, at + piece));
      return;
    }
    yield* createReadStream(blob, { start, end: end - 1, highWaterMark: 256 * 1024 }) as AsyncIterable<Buffer>;
  }

  async begin(repository: string): Promise<Upload> {
    const id = `upload-${++this.#uploadCount}`;
    if (this.#directory !== undefined) await mkdir(this.#directory, { recursive: true });
    const upload: Upload = {
      id,
      repository,
      size: 0,
      state: 0,
      shortChunk: false,
      digester: new Digester('sha256'),
      chunks: [],
      file: this.#directory === undefined ? undefined : await open(join(this.#directory, id), 'w'),
    };
    this.uploads.set(id, upload);
    return upload;
  }

  async append(upload: Upload, chunk: Uint8Array): Promise<void> {
    if (upload.file === undefined) upload.chunks.push(chunk);
    else {
      upload.digester.update(chunk);
      await upload.file.write(chunk, 0, chunk.byteLength, upload.size);
    }
    upload.size += chunk.byteLength;
  }

  /** False when the content does not have the digest; the session ends either way. */
  async commit(upload: Upload, digest: Digest): Promise<boolean> {
    this.uploads.delete(upload.id);
    const content = upload.file === undefined ? Buffer.concat(upload.chunks) : undefined;
    const found = content === undefined ? upload.digester.digest() : digestOf(content, digestAlgorithm(digest));
    if (found !== digest) {
      await this.#discard(upload);
      return false;
    }
    if (content !== undefined) this.#blobs.set(digest, content);
    else if (upload.file !== undefined && this.#directory !== undefined) {
      await upload.file.close();
      const path = join(this.#directory, digestHex(digest));
      await rename(join(this.#directory, upload.id), path);
      this.#blobs.set(digest, path);
    }
    this.repository(upload.repository).blobs.add(digest);
    return true;
  }

  async cancel(upload: Upload): Promise<void> {
    this.uploads.delete(upload.id);
    await this.#discard(upload);
  }

  async close(): Promise<void> {
    for (const upload of this.uploads.values()) await this.cancel(upload);
  }

  async #discard(upload: Upload): Promise<void> {
    await upload.file?.close();
    if (this.#directory !== undefined) await rm(join(this.#directory, upload.id), { force: true });
  }
}
