import { type FileHandle, mkdir, open, rename, rm, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { type Bytes, bytesSource } from '../blobs/source.ts';
import { encodeTarHeader, paddingFor } from '../blobs/tar-header.ts';
import { verified } from '../blobs/verified.ts';
import { KitError } from '../errors.ts';
import type { CallOptions } from '../events.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { digestAlgorithm, digestHex } from '../oci/digest.ts';
import type { Index } from '../oci/manifest.ts';
import { ArchiveBlobs } from './archive-blobs.ts';
import { ArchiveReader } from './archive-reader.ts';
import { BlobDirectory } from './blob-directory.ts';
import { IndexedTarget } from './indexed-target.ts';
import { withPath } from './io-error.ts';
import { checkLayoutMarker, EMPTY_INDEX, LAYOUT_MARKER, parseLayoutIndex, serializeIndex } from './layout-index.ts';
import { sweepTemporary, temporaryName } from './temporary-name.ts';

const MAX_INDEX_BYTES = 64 * 1024 * 1024;
/** Two zero blocks end a tar file. */
const END = Buffer.alloc(1024);

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
    throw new KitError('PATH_NOT_FOUND', `there is no archive ${file}`, { hint: 'check the path after `oci-archive:`' });
  }
  return new Archive(file, name, reader, reader === undefined ? EMPTY_INDEX : await readArchiveIndex(file, reader));
}

async function readArchiveIndex(file: string, reader: ArchiveReader): Promise<Index> {
  checkLayoutMarker((await readMember(file, reader, 'oci-layout', 4096)).toString('utf8'), `${file}: oci-layout`);
  return parseLayoutIndex(await readMember(file, reader, 'index.json', MAX_INDEX_BYTES), `${file}: index.json`);
}

async function readMember(file: string, reader: ArchiveReader, name: string, limit: number): Promise<Buffer> {
  const member = reader.members.get(name);
  if (member === undefined || member.size > limit) {
    const why = member === undefined ? `it has no ${name}` : `its ${name} has ${member.size} bytes, the limit is ${limit}`;
    throw new KitError('STORE_INVALID', `${file} is not an OCI archive: ${why}`, { hint: 'check the path after `oci-archive:`' });
  }
  return Buffer.concat(await Array.fromAsync(reader.read(member)));
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
    await sweepTemporary(dirname(this.file), `.${basename(this.file)}.`);
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
    const temporary = join(dirname(this.#file), `.${basename(this.#file)}.${temporaryName()}.tmp`);
    await withPath(this.#file, async () => {
      try {
        await mkdir(dirname(temporary), { recursive: true });
        const handle = await open(temporary, 'wx');
        try {
          await this.#writeMembers(handle, signal);
          await handle.datasync();
        } finally {
          await handle.close();
        }
        await rename(temporary, this.#file);
      } catch (error) {
        await unlink(temporary).catch(() => undefined);
        throw error;
      }
    });
  }

  async discard(): Promise<void> {
    this.#added = undefined;
    await withPath(this.#scratch, async () => {
      await rm(this.#scratch, { recursive: true, force: true });
    });
  }

  async #writeMembers(handle: FileHandle, signal: AbortSignal | undefined): Promise<void> {
    // the small files first: a reader of the stream knows what comes
    await writeMember(handle, 'oci-layout', text(LAYOUT_MARKER));
    await writeMember(handle, 'index.json', text(serializeIndex(this.index)));
    for (const { digest, size } of await this.blobs.all()) {
      signal?.throwIfAborted();
      const blob: Descriptor = { mediaType: 'application/octet-stream', digest, size };
      const bytes = verified(await this.blobs.fetch(blob, { signal }), blob);
      await writeMember(handle, `blobs/${digestAlgorithm(digest)}/${digestHex(digest)}`, { size, bytes });
    }
    await writeAll(handle, END);
  }

  async #prepare(): Promise<BlobDirectory> {
    if (this.#added !== undefined) return this.#added;
    await withPath(this.#scratch, async () => await mkdir(this.#scratch, { recursive: true }));
    this.#added ??= new BlobDirectory(this.#scratch);
    return this.#added;
  }
}

function text(content: string): { size: number; bytes: Bytes } {
  return { size: Buffer.byteLength(content), bytes: bytesSource(Buffer.from(content)).open() };
}

async function writeMember(handle: FileHandle, path: string, { size, bytes }: { size: number; bytes: Bytes }): Promise<void> {
  await writeAll(handle, encodeTarHeader({ path, type: 'file', mode: 0o644, size }));
  for await (const chunk of bytes) await writeAll(handle, chunk);
  await writeAll(handle, Buffer.alloc(paddingFor(size)));
}

/** Appends at the file position. */
async function writeAll(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.byteLength;) done += (await handle.write(bytes, done)).bytesWritten;
}
