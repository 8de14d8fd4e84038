import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { type ByteThread, joinThread } from '../byte-thread.ts';
import type { Moved } from '../move.ts';
import { isShared } from '../chunk.ts';
import type { WritableFile } from './file-writer.ts';
import { WritePace, type WriteWay } from './write-pace.ts';

/** What O_DIRECT asks of memory, position and length: the block of the device, which for most is the first. */
const BLOCKS = [512, 4096];
/** Less goes to the page cache as it is: it is not worth a wait for the disk or a thread. */
const SMALLEST_LARGE = 256 * 1024;
const { O_RDWR, O_CREAT, O_EXCL, O_WRONLY } = constants;
const O_DIRECT = process.platform === 'linux' ? constants.O_DIRECT : undefined;
const REFUSED: ReadonlySet<string> = new Set(['EINVAL', 'ENOTSUP', 'EOPNOTSUPP']);

/** What decides how a write goes. */
type Pace = Pick<WritePace, 'way' | 'begin' | 'end'>;

export interface DirectFileOptions {
  readonly exclusive?: boolean;
  readonly mode?: number;
  readonly pace?: Pace;
}

let files = 0;

/** Of all files: they share the disk. */
const sharedPace = new WritePace();

/**
 * A file that is written past the page cache where the file system and the bytes allow and where that is faster: it saves a copy, and
 * evicts nothing else.
 */
export class DirectFile implements WritableFile {
  readonly #path: string;
  readonly #plain: FileHandle;
  readonly #pace: Pace;
  #direct: Promise<FileHandle | undefined> | undefined;
  #block = 0;
  #writer: Promise<ByteThread> | undefined;
  /** Which way it goes where files go both. */
  readonly #mixedWay = (files += 1) % 2 === 0 ? 'direct' : 'plain';

  private constructor(path: string, plain: FileHandle, pace: Pace) {
    this.#path = path;
    this.#plain = plain;
    this.#pace = pace;
    if (O_DIRECT === undefined) this.#direct = Promise.resolve(undefined);
  }

  /** Opens a file to go on with, or makes it; with `exclusive` it must not be there. Throws the errors of the file system. */
  static async open(path: string, options: DirectFileOptions = {}): Promise<DirectFile> {
    const { exclusive = false, mode = 0o666, pace = sharedPace } = options;
    return new DirectFile(path, await open(path, O_RDWR | O_CREAT | (exclusive ? O_EXCL : 0), mode), pace);
  }

  async size(): Promise<number> {
    return (await this.#plain.stat()).size;
  }

  async chmod(mode: number): Promise<void> {
    await this.#plain.chmod(mode);
  }

  async truncate(length: number): Promise<void> {
    await this.#plain.truncate(length);
  }

  /** Several calls may be under way at a time. */
  async writev(chunks: readonly Uint8Array[], position: number): Promise<{ bytesWritten: number }> {
    const bytes = chunks.reduce((sum, { byteLength }) => sum + byteLength, 0);
    if (bytes < SMALLEST_LARGE) return await this.#plain.writev(chunks, position);
    const pace = this.#pace;
    const { way } = pace;
    pace.begin(performance.now());
    const isDirect = this.#goes(way) === 'direct' && this.#isAligned(chunks, position);
    const written = (isDirect ? await this.#writeDirect(chunks, position) : undefined) ?? (await this.#writePlain(chunks, position, bytes));
    if (way === pace.way) pace.end(written.bytesWritten, performance.now());
    return written;
  }

  async fill(work: (fd: number | undefined) => Promise<Moved | undefined>): Promise<Moved | undefined> {
    const pace = this.#pace;
    const { way } = pace;
    const began = performance.now();
    const isPlain = this.#goes(way) === 'plain';
    const moved = await work(isPlain ? this.#plain.fd : undefined);
    // else it is still to be written
    if (moved === undefined || !isPlain || way !== pace.way) return moved;
    pace.begin(began);
    pace.end(moved.bytes, performance.now());
    return moved;
  }

  async close(): Promise<void> {
    const writer = await this.#writer?.catch(() => undefined);
    if (writer !== undefined) writer.members.file -= 1;
    await (await this.#direct)?.close();
    await this.#plain.close();
  }

  #goes(way: WriteWay): 'plain' | 'direct' {
    return way === 'mixed' ? this.#mixedWay : way;
  }

  /** By one thread: writes of the same file wait for each other. */
  async #writePlain(chunks: readonly Uint8Array[], position: number, bytes: number): Promise<{ bytesWritten: number }> {
    if (!chunks.every(isShared)) return await this.#plain.writev(chunks, position);
    this.#writer ??= joinThread('file');
    await (await this.#writer).ask({ type: 'write', fd: this.#plain.fd, chunks, position });
    return { bytesWritten: bytes };
  }

  /** Undefined where the file system refuses. */
  async #writeDirect(chunks: readonly Uint8Array[], position: number): Promise<{ bytesWritten: number } | undefined> {
    const block = this.#block;
    this.#direct ??= open(this.#path, O_WRONLY | (O_DIRECT ?? 0)).catch(() => undefined);
    try {
      const direct = await this.#direct;
      return await direct?.writev(chunks, position);
    } catch (error) {
      if (!REFUSED.has((error as NodeJS.ErrnoException).code ?? '')) throw error;
      // a write beside this one may have been refused first
      if (block === this.#block) await this.#raiseBlock();
      return undefined;
    }
  }

  async #raiseBlock(): Promise<void> {
    this.#block += 1;
    if (this.#block < BLOCKS.length) return;
    const direct = this.#direct;
    this.#direct = Promise.resolve(undefined);
    await (await direct)?.close();
  }

  #isAligned(chunks: readonly Uint8Array[], position: number): boolean {
    const block = BLOCKS[this.#block] ?? Number.NaN;
    const isMultiple = (number: number): boolean => number % block === 0;
    return (
      isMultiple(position) &&
      chunks.every(
        ({ buffer, byteOffset, byteLength }) => buffer instanceof SharedArrayBuffer && isMultiple(byteOffset) && isMultiple(byteLength),
      )
    );
  }
}
