import { holdChunk, releaseChunk } from '../chunk.ts';
import { isKitError, KitError } from '../errors.ts';
import type { Bytes, BytesIterator, SkippableBytes } from '../blob-source.ts';
import type { Move, Moved } from '../move.ts';
import { BLOCK, paddingFor } from './tar-header.ts';
import { decodeTarBlock, mislabelled, parsePax, type PaxFields, type TarBlock, utf8 } from './tar-decode.ts';

/** An entry as the archive has it: nothing about it has been checked for safety. */
export interface TarEntry {
  readonly path: string;
  readonly type: TarBlock['type'];
  readonly mode: number;
  /** Bytes of content that follow. */
  readonly size: number;
}

/** What has no content, whatever the header says of its size. */
const WITHOUT_CONTENT: ReadonlySet<TarBlock['type']> = new Set([
  'hard link',
  'symbolic link',
  'character device',
  'block device',
  'named pipe',
]);
/** Names and pax records beyond this are refused. */
const MAX_EXTENSION = 1024 * 1024;
/** How far a broken archive is read on to learn whether its bytes were damaged on the way. */
const MAX_DRAIN = 4 * 1024 ** 3;
const ZEROS = new Uint8Array(64 * 1024);

/**
 * Reads a tar stream (ustar, pax, GNU long names) front to back.
 * Strict: bad check sums, truncation and bytes after the end are errors, never the end of the archive.
 */
export class TarReader {
  readonly #iterator: BytesIterator;
  readonly #skippable: SkippableBytes | undefined;
  readonly #name: string;
  #chunk: Uint8Array = new Uint8Array();
  #offset = 0;
  #position = 0;
  #unread = 0;
  #padding = 0;

  /** `name` (a digest) goes into messages. */
  constructor(bytes: Bytes | SkippableBytes, name: string) {
    this.#iterator = bytes[Symbol.asyncIterator]();
    this.#skippable = 'skip' in bytes ? bytes : undefined;
    this.#name = name;
  }

  /** Where in the archive the content begins of the entry that `next` returned last, as long as none of it was read. */
  get contentStart(): number {
    return this.#position;
  }

  /** The next entry, or undefined after the end of the archive; what is left of the entry before is skipped. */
  async next(): Promise<TarEntry | undefined> {
    await this.#skipRest();
    const pax: Extensions = {};
    for (;;) {
      const block = await this.#take(BLOCK);
      if (block === undefined) throw this.#invalid('ends without the two zero blocks that close an archive');
      if (block[0] === 0 && isZero(block)) {
        if (pax.seen === true) throw this.#invalid('ends after an extended header');
        return this.#finish();
      }
      const header = decodeTarBlock(block, this.#position - BLOCK, this.#name);
      if (header.type === 'pax' || header.type === 'longname' || header.type === 'global') {
        await this.#readExtension(header, pax);
        continue;
      }
      return this.#open(header, pax);
    }
  }

  /** The content of the entry that `next` returned last. Chunks are at most what the source hands out. */
  content(): Bytes {
    const next = async (): Promise<IteratorResult<Uint8Array, void>> => await this.#nextPart();
    const move = this.#iterator.move === undefined ? undefined : async (one: Move) => await this.#movePart(one);
    return { [Symbol.asyncIterator]: () => ({ next, move }) };
  }

  /** All content of a small entry, without an iterator: the fast way for many small files. It is good until the next call. */
  async contentAtOnce(): Promise<Uint8Array> {
    this.#expect(this.#unread);
    const bytes = await this.#take(this.#unread);
    if (bytes === undefined) throw this.#invalid(`ends before the end of an entry`);
    this.#unread = 0;
    return bytes;
  }

  /** Ends the source, so that what it holds open is closed. To be called when the archive is not read to its end. */
  async close(): Promise<void> {
    await this.#iterator.return?.();
  }

  /** Reads a broken archive on and throws what its source finds wrong at its end, such as a digest mismatch; else `error`. */
  async explain(error: KitError): Promise<never> {
    // of parts there is no digest
    if (this.#skippable !== undefined) throw error;
    try {
      for (let left = MAX_DRAIN; left > 0;) {
        const part = await this.#some(left);
        if (part === undefined) break;
        left -= part.byteLength;
      }
    } catch (cause) {
      if (isKitError(cause, 'DIGEST_MISMATCH', 'SIZE_MISMATCH')) throw cause;
    }
    throw error;
  }

  async #nextPart(): Promise<IteratorResult<Uint8Array, void>> {
    if (this.#unread === 0) return { done: true, value: undefined };
    this.#expect(this.#unread);
    const part = await this.#some(this.#unread);
    if (part === undefined) throw this.#invalid(`ends ${this.#unread} bytes before the end of an entry`);
    this.#unread -= part.byteLength;
    holdChunk(part);
    return { done: false, value: part };
  }

  async #movePart(move: Move): Promise<Moved | undefined> {
    // what is at hand comes first
    if (this.#offset < this.#chunk.byteLength || this.#unread === 0) return undefined;
    const moved = await this.#iterator.move?.({ ...move, limit: Math.min(move.limit, this.#unread) });
    this.#unread -= moved?.bytes ?? 0;
    this.#position += moved?.bytes ?? 0;
    return moved;
  }

  #open(header: TarBlock, pax: PaxFields): TarEntry {
    const path = pax.path ?? header.path;
    const size = WITHOUT_CONTENT.has(header.type) ? 0 : (pax.size ?? header.size);
    // some readers skip its bytes, others take them for headers
    if (header.type === 'directory' && size > 0)
      throw this.#invalid(`gives the directory ${JSON.stringify(path)} ${size} bytes of content`);
    this.#unread = size;
    this.#padding = paddingFor(size);
    return { path, type: header.type, mode: header.mode, size };
  }

  async #readExtension(header: TarBlock, pax: Extensions): Promise<void> {
    if (header.size > MAX_EXTENSION) throw this.#invalid(`has an extended header of ${header.size} bytes`);
    const data = (await this.#take(header.size + paddingFor(header.size)))?.subarray(0, header.size);
    if (data === undefined) throw this.#invalid('ends in an extended header');
    if (header.type === 'global') {
      parsePax(data, this.#name, true);
      return;
    }
    // which of two counts would depend on the reader
    if (pax.seen === true) throw this.#invalid('has two extended headers for one entry');
    pax.seen = true;
    if (header.type === 'longname') pax.path = utf8(trimNuls(data), this.#name);
    else Object.assign(pax, parsePax(data, this.#name, false));
  }

  async #skipRest(): Promise<void> {
    let left = this.#unread + this.#padding;
    while (left > 0) {
      left -= this.#skip(left);
      if (left === 0) break;
      const part = await this.#some(left);
      if (part === undefined) throw this.#invalid(`ends ${left} bytes before the end of an entry`);
      left -= part.byteLength;
    }
    this.#unread = 0;
    this.#padding = 0;
  }

  #expect(content: number): void {
    this.#skippable?.expect(content - (this.#chunk.byteLength - this.#offset));
  }

  /** What is at hand is skipped by reading it. */
  #skip(count: number): number {
    if (this.#offset < this.#chunk.byteLength) return 0;
    const skipped = this.#skippable?.skip(count) ?? 0;
    this.#position += skipped;
    return skipped;
  }

  // one zero block was seen: all that follows must be zero, and is read so that the digest covers it
  async #finish(): Promise<undefined> {
    let zeros = BLOCK;
    for (;;) {
      const part = await this.#some(Number.MAX_SAFE_INTEGER);
      if (part === undefined) break;
      if (!isZero(part)) throw this.#invalid('has data after the end of the archive');
      zeros += part.byteLength;
    }
    if (zeros < 2 * BLOCK) throw this.#invalid('ends without the two zero blocks that close an archive');
    return undefined;
  }

  /** Good until the next call, unless it is held. */
  async #some(limit: number): Promise<Uint8Array | undefined> {
    while (this.#offset === this.#chunk.byteLength) {
      const next = await this.#iterator.next();
      if (next.done === true) return undefined;
      releaseChunk(this.#chunk);
      this.#chunk = next.value;
      this.#offset = 0;
    }
    const part = this.#chunk.subarray(this.#offset, Math.min(this.#chunk.byteLength, this.#offset + limit));
    this.#offset += part.byteLength;
    this.#position += part.byteLength;
    return part;
  }

  async #take(size: number): Promise<Uint8Array | undefined> {
    if (size === 0) return new Uint8Array();
    // the common case, without a promise or a copy
    if (this.#chunk.byteLength - this.#offset >= size) {
      const part = this.#chunk.subarray(this.#offset, this.#offset + size);
      this.#offset += size;
      this.#position += size;
      return part;
    }
    const parts: Uint8Array[] = [];
    for (let left = size; left > 0;) {
      const part = await this.#some(left);
      if (part === undefined) {
        const start = Buffer.concat(parts);
        const compressed = this.#position === start.byteLength ? mislabelled(start, this.#name) : undefined;
        if (parts.length > 0) throw compressed ?? this.#invalid('is cut off');
        return undefined;
      }
      holdChunk(part);
      parts.push(part);
      left -= part.byteLength;
    }
    const whole = Buffer.concat(parts);
    for (const part of parts) releaseChunk(part);
    return whole;
  }

  #invalid(why: string): KitError {
    return new KitError('LAYER_INVALID', `${this.#name}: the tar archive ${why}`, {
      hint: 'the artifact is damaged; ask for it to be pushed again',
    });
  }
}

interface Extensions extends PaxFields {
  seen?: boolean;
}

function trimNuls(bytes: Uint8Array): Uint8Array {
  const end = bytes.indexOf(0);
  return end === -1 || !isZero(bytes.subarray(end)) ? bytes : bytes.subarray(0, end);
}

function isZero(bytes: Uint8Array): boolean {
  for (let at = 0; at < bytes.byteLength; at += ZEROS.byteLength) {
    const part = bytes.subarray(at, at + ZEROS.byteLength);
    if (Buffer.compare(part, ZEROS.subarray(0, part.byteLength)) !== 0) return false;
  }
  return true;
}
