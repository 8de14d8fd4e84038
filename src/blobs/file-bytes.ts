import { readAhead } from './read-ahead.ts';
import type { FileToRead } from './read-fully.ts';
import { ReadPace } from './read-pace.ts';
import type { ByteRange, Bytes, BytesIterator } from '../blob-source.ts';
import type { Move, Moved } from '../move.ts';

/**
 * A range of a file that is opened when its first bytes are asked for, and closed after its last.
 * @param pace that of other ranges of the file
 * @throws what `open` throws, and as readAhead
 */
export function fileBytes(
  open: () => Promise<FileToRead>,
  range: ByteRange,
  signal: AbortSignal | undefined,
  pace = new ReadPace(),
): Bytes {
  return { [Symbol.asyncIterator]: () => new FileBytes(open, range, signal, pace) };
}

class FileBytes implements BytesIterator {
  readonly #open: () => Promise<FileToRead>;
  readonly #range: ByteRange;
  readonly #signal: AbortSignal | undefined;
  readonly #pace: ReadPace;
  #opened: { readonly file: FileToRead; readonly bytes: BytesIterator } | undefined;
  #isOver = false;
  /** What `next` or `move` is at: whoever has lost patience with it may ask to `return` meanwhile. */
  #reading: Promise<unknown> | undefined;

  constructor(open: () => Promise<FileToRead>, range: ByteRange, signal: AbortSignal | undefined, pace: ReadPace) {
    this.#open = open;
    this.#range = range;
    this.#signal = signal;
    this.#pace = pace;
  }

  async next(): Promise<IteratorResult<Uint8Array, void>> {
    const reading = this.#read();
    this.#reading = reading;
    return await reading;
  }

  async move(move: Move): Promise<Moved | undefined> {
    const moving = this.#move(move);
    this.#reading = moving;
    return await moving;
  }

  readNow(piece: Uint8Array): number {
    return this.#opened?.bytes.readNow?.(piece) ?? 0;
  }

  async return(): Promise<IteratorResult<Uint8Array, void>> {
    await this.#reading?.catch(() => undefined);
    return await this.#close();
  }

  async #read(): Promise<IteratorResult<Uint8Array, void>> {
    if (this.#isOver) return { done: true, value: undefined };
    try {
      if (this.#opened === undefined) {
        const file = await this.#open();
        this.#opened = { file, bytes: readAhead(file, this.#range, this.#signal, this.#pace)[Symbol.asyncIterator]() };
      }
      const step = await this.#opened.bytes.next();
      return step.done === true ? await this.#close() : step;
    } catch (error) {
      await this.#close();
      throw error;
    }
  }

  async #move(move: Move): Promise<Moved | undefined> {
    try {
      return await this.#opened?.bytes.move?.(move);
    } catch (error) {
      await this.#close();
      throw error;
    }
  }

  async #close(): Promise<IteratorResult<Uint8Array, void>> {
    this.#isOver = true;
    const opened = this.#opened;
    this.#opened = undefined;
    await opened?.bytes.return?.();
    await opened?.file.handle.close();
    return { done: true, value: undefined };
  }
}
