import { isUtf8 } from 'node:buffer';
import { MAX_HEADER_BYTES, type ReadAt } from './read-at.ts';
import { beyondLimit, invalidFile } from './refusal.ts';

/** What is read at once: a small guess first, and more where the header turns out to be long. */
const WINDOWS = [256 * 1024, 1024 * 1024, 4 * 1024 * 1024] as const;

/**
 * Reads a binary header front to back. Memory is one window, whatever the header declares; what is skipped beyond the window is
 * not read.
 */
export class HeaderCursor {
  readonly #file: ReadAt;
  #window: Buffer = Buffer.alloc(0);
  #start = 0;
  #position = 0;
  #fills = 0;
  #read = 0;
  isBigEndian = false;

  constructor(file: ReadAt) {
    this.#file = file;
  }

  /** Of the next byte, within the file. */
  get position(): number {
    return this.#position;
  }

  get left(): number {
    return this.#file.size - this.#position;
  }

  async u8(): Promise<number> {
    return this.#take(await this.#have(1), 1).readUInt8(0);
  }

  async u32(): Promise<number> {
    const bytes = this.#take(await this.#have(4), 4);
    return this.isBigEndian ? bytes.readUInt32BE(0) : bytes.readUInt32LE(0);
  }

  async u64(): Promise<bigint> {
    const bytes = this.#take(await this.#have(8), 8);
    return this.isBigEndian ? bytes.readBigUInt64BE(0) : bytes.readBigUInt64LE(0);
  }

  /** A copy of the next `count` bytes: the caller has capped `count`. */
  async bytes(count: number): Promise<Buffer> {
    return Buffer.from(this.#take(await this.#have(count), count));
  }

  /** @throws KitError LAYER_INVALID where the bytes are not UTF-8 */
  async text(count: number): Promise<string> {
    const bytes = this.#take(await this.#have(count), count);
    if (!isUtf8(bytes)) throw this.invalid('a text is not UTF-8', this.#position - count);
    return bytes.toString('utf8');
  }

  skip(count: number): void {
    if (count > this.left) throw this.#cutOff(count);
    this.#position += count;
    // what lies behind a jump may be short again
    if (this.#position > this.#start + this.#window.byteLength) this.#fills = 0;
  }

  /** Skips `count` strings, each with its length in front; they are many, so one that is in the window costs no promise. */
  async skipStrings(count: number, lengthBytes: 4 | 8): Promise<void> {
    for (let left = count; left > 0; left--) {
      const at = this.#position - this.#start;
      const offset = at + lengthBytes <= this.#window.byteLength && at >= 0 ? at : await this.#have(lengthBytes);
      const length = this.#lengthAt(offset, lengthBytes);
      this.#position += lengthBytes;
      if (length > this.left) throw this.#cutOff(length);
      this.#position += length;
    }
  }

  /** A prefix of the file's integers: the length of a string, or a count. @throws KitError LAYER_INVALID beyond 2^53 */
  async count(bytes: 4 | 8, what: string): Promise<number> {
    if (bytes === 4) return this.u32();
    const value = await this.u64();
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw this.invalid(`${what} is ${value}`, this.#position - bytes);
    return Number(value);
  }

  invalid(why: string, offset = this.#position): ReturnType<typeof invalidFile> {
    return invalidFile(this.#file.name, offset, why);
  }

  #lengthAt(offset: number, lengthBytes: 4 | 8): number {
    if (lengthBytes === 4) return this.isBigEndian ? this.#window.readUInt32BE(offset) : this.#window.readUInt32LE(offset);
    // beyond 2^53 it is not exact, and beyond the end of any file
    const [first, second] = [offset, offset + 4];
    return this.isBigEndian
      ? this.#window.readUInt32BE(first) * 2 ** 32 + this.#window.readUInt32BE(second)
      : this.#window.readUInt32LE(second) * 2 ** 32 + this.#window.readUInt32LE(first);
  }

  #take(offset: number, count: number): Buffer {
    this.#position += count;
    return this.#window.subarray(offset, offset + count);
  }

  /** Where in the window the next bytes are, when it holds `count` of them. */
  async #have(count: number): Promise<number> {
    const offset = this.#position - this.#start;
    if (offset >= 0 && offset + count <= this.#window.byteLength) return offset;
    if (count > this.left) throw this.#cutOff(count);
    const kept = offset < this.#window.byteLength ? this.#window.subarray(offset) : this.#window.subarray(0, 0);
    const from = this.#position + kept.byteLength;
    const size = Math.max(WINDOWS[Math.min(this.#fills, WINDOWS.length - 1)] ?? 0, count - kept.byteLength);
    const fresh = await this.#file.read(from, Math.min(this.#file.size, from + size));
    this.#fills += 1;
    this.#read += fresh.byteLength;
    if (this.#read > MAX_HEADER_BYTES) {
      throw beyondLimit(this.#file.name, from, `the header has more than ${MAX_HEADER_BYTES} bytes`);
    }
    this.#window = kept.byteLength === 0 ? Buffer.from(fresh.buffer, fresh.byteOffset, fresh.byteLength) : Buffer.concat([kept, fresh]);
    this.#start = this.#position;
    return 0;
  }

  #cutOff(count: number): ReturnType<typeof invalidFile> {
    return this.invalid(`${count} bytes are declared where the file has ${this.left} left`);
  }
}
