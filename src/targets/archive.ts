import { mkdir, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { KitError } from '../errors.ts';
import type { CallOptions } from '../events.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Index } from '../oci/manifest.ts';
import { ArchiveBlobs } from './archive-blobs.ts';
import { archiveIndex, checkSmallMember, type SmallMember } from './archive-index.ts';
import { ArchiveReader } from './archive-reader.ts';
import { archiveStream, writeArchiveFile } from './archive-stream.ts';
import { BlobDirectory } from './blob-directory.ts';
import { IndexedTarget } from './indexed-target.ts';
import { withPath } from './io-error.ts';
import { EMPTY_INDEX } from './layout-index.ts';
import { temporaryName } from './temporary-name.ts';

export interface ArchiveOptions {
  /** Starts an empty archive where there is no file; nothing is written before `commit`. */
  readonly create?: boolean;
  /** How messages name it; `oci-archive:FILE` unless told. */
  readonly name?: string;
}

/** Opens an image layout in a tar file, as skopeo's `oci-archive:`. @throws KitError PATH_NOT_FOUND | STORE_INVALID | UNSAFE_PATH | UNSAFE_ENTRY */
export async function openArchive(file: string, { create = false, name = `oci-archive:${file}` }: ArchiveOptions = {}): Promise<Archive> {
  const reader = await ArchiveReader.open(file);
  if (reader === undefined && !create) {
    throw new KitError('PATH_NOT_FOUND', `there is no archive ${file}`, { hint: 'check the path' });
  }
  return new Archive(file, name, reader, reader === undefined ? EMPTY_INDEX : await readArchiveIndex(file, reader));
}

async function readArchiveIndex(file: string, reader: ArchiveReader): Promise<Index> {
  const small = async (name: SmallMember): Promise<Buffer> => {
    const member = checkSmallMember(file, name, reader.members.get(name));
    return Buffer.concat(await Array.fromAsync(reader.read(member)));
  };
  return archiveIndex(file, { 'oci-layout': await small('oci-layout'), 'index.json': await small('index.json') });
}

/**
 * An image layout in one tar file. Changes are collected beside it and take effect with `commit`, which writes a new file with the
 * old and the new content and puts it in place; without `commit`, `discard` takes them away.
 */
export class Archive extends IndexedTarget implements AsyncDisposable {
  readonly file: string;
  readonly #state: ArchiveState;

  /** Use `openArchive`: it checks the file. */
  constructor(file: string, name: string, reader: ArchiveReader | undefined, index: Index) {
    const state = new ArchiveState(file, reader, index);
    super(name, state.blobs, {
      read: async () => await Promise.resolve(state.index.manifests),
      update: async (change) => {
        state.index = { ...state.index, manifests: change(state.index.manifests) };
        await Promise.resolve();
      },
    });
    this.file = file;
    this.#state = state;
  }

  /** Writes the file; the same content gives the same bytes. The archive can only be opened anew after it. */
  async commit(options: CallOptions = {}): Promise<void> {
    await this.#state.write(options);
    await this.#state.discard();
  }

  /** Forgets what was pushed since the archive was opened. */
  async discard(): Promise<void> {
    await this.#state.discard();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.discard();
  }
}

class ArchiveState {
  readonly blobs: ArchiveBlobs;
  index: Index;
  readonly #file: string;
  readonly #scratch: string;
  #added: BlobDirectory | undefined;

  constructor(file: string, reader: ArchiveReader | undefined, index: Index) {
    this.#file = file;
    this.index = index;
    this.#scratch = join(dirname(file), `.${basename(file)}.${temporaryName()}.tmp`);
    this.blobs = new ArchiveBlobs(
      reader,
      async () => await this.#prepare(),
      () => this.#added,
    );
  }

  async write({ signal }: CallOptions): Promise<void> {
    const all = await this.blobs.all();
    const blobs = all.map(({ digest, size }) => {
      const blob: Descriptor = { mediaType: 'application/octet-stream', digest, size };
      return { blob, open: async () => await this.blobs.fetch(blob, { signal }) };
    });
    await writeArchiveFile(this.#file, archiveStream(this.index, blobs, { signal }));
  }

  async discard(): Promise<void> {
    this.#added = undefined;
    await withPath(this.#scratch, async () => {
      await rm(this.#scratch, { recursive: true, force: true });
    });
  }

  async #prepare(): Promise<BlobDirectory> {
    if (this.#added !== undefined) return this.#added;
    await withPath(this.#scratch, async () => await mkdir(this.#scratch, { recursive: true }));
    this.#added ??= new BlobDirectory(this.#scratch);
    return this.#added;
  }
}
