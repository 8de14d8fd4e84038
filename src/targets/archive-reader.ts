import { type FileHandle, open } from 'node:fs/promises';
import { fileBytes } from '../blobs/file-bytes.ts';
import { asPathError } from '../blobs/path-error.ts';
import type { FileToRead } from '../blobs/read-fully.ts';
import { paceOf } from '../blobs/read-pace.ts';
import type { ByteRange, Bytes } from '../blob-source.ts';
import { decodeTarBlock, parsePax, type PaxFields, type TarBlock } from '../blobs/tar-decode.ts';
import { BLOCK, paddingFor } from '../blobs/tar-header.ts';
import { isKitError, KitError } from '../errors.ts';
import { isErrno, withPath } from './io-error.ts';

const MAX_ENTRIES = 100_000;
const MAX_EXTENSION_BYTES = 64 * 1024;

/** Where a file's content stands in the archive. */
export interface ArchiveMember {
  readonly offset: number;
  /** Bytes. */
  readonly size: number;
}

/** The table of contents of a tar file, and ranges of what it lists. Never unpacks anything. */
export class ArchiveReader {
  readonly members: ReadonlyMap<string, ArchiveMember>;
  readonly #path: string;
  readonly #stamp: string;

  private constructor(path: string, members: ReadonlyMap<string, ArchiveMember>, stamp: string) {
    this.#path = path;
    this.members = members;
    this.#stamp = stamp;
  }

  /** Undefined when there is no such file. @throws KitError STORE_INVALID | UNSAFE_PATH | UNSAFE_ENTRY | LIMIT_EXCEEDED */
  static async open(path: string): Promise<ArchiveReader | undefined> {
    const handle = await openOrMissing(path);
    if (handle === undefined) return undefined;
    try {
      const { stamp, size } = await stampOf(handle, path);
      return new ArchiveReader(path, await scan(handle, path, size), stamp);
    } finally {
      await handle.close();
    }
  }

  /** @throws KitError SOURCE_CHANGED when the file was changed since it was opened */
  read(member: ArchiveMember, range: ByteRange = { start: 0, end: member.size }, signal?: AbortSignal): Bytes {
    const { offset, size } = member;
    const part = { start: offset + range.start, end: offset + Math.min(range.end, size) };
    return fileBytes(async () => await this.#open(), part, signal, paceOf(member));
  }

  async #open(): Promise<FileToRead> {
    const handle = await openOrMissing(this.#path);
    if (handle === undefined) throw this.#changed();
    try {
      if ((await stampOf(handle, this.#path)).stamp !== this.#stamp) throw this.#changed();
    } catch (error) {
      await handle.close();
      throw error;
    }
    return { handle, failed: (error: unknown) => asPathError(error, this.#path), cutOff: () => this.#changed() };
  }

  #changed(): KitError {
    return new KitError('SOURCE_CHANGED', `${this.#path} changed while it was read`, { hint: 'run the command again' });
  }
}

async function scan(handle: FileHandle, path: string, fileSize: number): Promise<Map<string, ArchiveMember>> {
  await refuseCompressed(handle, path);
  const members = new Map<string, ArchiveMember>();
  let pax: PaxFields = {};
  for (let offset = 0; offset < fileSize;) {
    const block = await readAt(handle, path, offset, BLOCK);
    if (block.byteLength < BLOCK) throw invalid(path, offset === 0 ? 'it is not a tar archive' : `it is cut off at byte ${offset}`);
    if (block.every((byte) => byte === 0)) break;
    const header = decode(block, offset, path);
    offset += BLOCK;
    const size = header.type === 'directory' ? 0 : (pax.size ?? header.size);
    if (offset + size > fileSize) throw invalid(path, `it is cut off within \`${header.path}\``);
    if (header.type === 'pax' || header.type === 'global' || header.type === 'longname') {
      pax = { ...pax, ...(await readExtension(handle, path, offset, header)) };
    } else {
      addMember(members, path, pax.path ?? header.path, header.type, { offset, size });
      pax = {};
    }
    offset += size + paddingFor(size);
  }
  return members;
}

function addMember(members: Map<string, ArchiveMember>, path: string, name: string, type: TarBlock['type'], member: ArchiveMember): void {
  const clean = memberName(path, name, type, members);
  if (clean !== undefined) members.set(clean, member);
}

/** The name of a member as the image layout has it; undefined for a directory. @throws KitError UNSAFE_PATH | UNSAFE_ENTRY | LIMIT_EXCEEDED */
export function memberName(
  archive: string,
  name: string,
  type: TarBlock['type'],
  seen: { readonly size: number; has(name: string): boolean },
): string | undefined {
  const clean = name.replace(/^(?:\.\/)+/, '').replace(/\/+$/, '');
  if (clean.startsWith('/') || clean.includes('\\') || clean.includes('\0') || clean.split('/').includes('..')) {
    throw new KitError('UNSAFE_PATH', `${archive}: the archive names \`${name}\`, which leaves it`);
  }
  if (type === 'directory') return undefined;
  if (type !== 'file') throw new KitError('UNSAFE_ENTRY', `${archive}: \`${name}\` is a ${type}; an image layout holds only files`);
  // which of two files counts would depend on the reader
  if (seen.has(clean)) throw new KitError('UNSAFE_ENTRY', `${archive}: \`${name}\` is there twice`);
  if (seen.size >= MAX_ENTRIES) throw new KitError('LIMIT_EXCEEDED', `${archive}: more than ${MAX_ENTRIES} files`);
  return clean;
}

async function readExtension(handle: FileHandle, path: string, offset: number, header: TarBlock): Promise<PaxFields> {
  if (header.size > MAX_EXTENSION_BYTES) throw invalid(path, `a tar extension of ${header.size} bytes`);
  const data = await readAt(handle, path, offset, header.size);
  if (header.type === 'longname') return { path: data.toString('utf8').replace(/\0.*$/s, '') };
  return asArchiveError(path, () => parsePax(data, path, header.type === 'global'));
}

function decode(block: Buffer, offset: number, path: string): TarBlock {
  return asArchiveError(path, () => decodeTarBlock(block, offset, path));
}

/** The tar decoder speaks of layers. */
function asArchiveError<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw archiveError(error, path);
  }
}

/** What a reader of layers says, said of an archive; other errors as they are. */
export function archiveError(error: unknown, path: string): unknown {
  if (!isKitError(error, 'LAYER_INVALID')) return error;
  return new KitError('STORE_INVALID', error.message, {
    hint: `check that ${path} is a tar file that was copied whole`,
    cause: error.cause,
  });
}

async function refuseCompressed(handle: FileHandle, path: string): Promise<void> {
  const tool = decompressorFor(await readAt(handle, path, 0, 6));
  if (tool === undefined) return;
  throw new KitError('STORE_INVALID', `${path} is compressed; an OCI archive is a plain tar file`, {
    hint: `decompress it first: \`${tool} ${path}\``,
  });
}

/** The program that undoes a compression, by the first six bytes of a file. */
export function decompressorFor(start: Uint8Array): string | undefined {
  return COMPRESSIONS.find(({ magic }) => Buffer.compare(start.subarray(0, magic.byteLength), magic) === 0)?.tool;
}

const COMPRESSIONS = [
  { tool: 'gunzip', magic: Buffer.from([0x1f, 0x8b]) },
  { tool: 'unzstd', magic: Buffer.from([0x28, 0xb5, 0x2f, 0xfd]) },
  { tool: 'unxz', magic: Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]) },
  { tool: 'bunzip2', magic: Buffer.from('BZh') },
];

async function readAt(handle: FileHandle, path: string, position: number, length: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafeSlow(length);
  return buffer.subarray(0, await fill(handle, path, buffer, position));
}

/** Returns how many bytes there were. */
async function fill(handle: FileHandle, path: string, chunk: Uint8Array, position: number): Promise<number> {
  let filled = 0;
  while (filled < chunk.byteLength) {
    const { bytesRead } = await withPath(path, async () => await handle.read(chunk, filled, chunk.byteLength - filled, position + filled));
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return filled;
}

async function stampOf(handle: FileHandle, path: string): Promise<{ stamp: string; size: number }> {
  const stats = await withPath(path, async () => await handle.stat({ bigint: true }));
  if (!stats.isFile()) {
    throw new KitError('STORE_INVALID', `${path} is not a file`, stats.isDirectory() ? { hint: 'for a directory write `oci:DIR`' } : {});
  }
  return { stamp: `${stats.dev} ${stats.ino} ${stats.size} ${stats.mtimeNs}`, size: Number(stats.size) };
}

async function openOrMissing(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, 'r');
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw asPathError(error, path);
  }
}

function invalid(path: string, why: string): KitError {
  return new KitError('STORE_INVALID', `${path}: ${why}`, { hint: 'check that the file was copied whole' });
}
