import { availableParallelism } from 'node:os';
import type { FilePosition, Mover, MoveResult } from '../move.ts';
import { areThreadsBusy, type ByteThread, joinThread } from '../byte-thread.ts';
import { allocateChunk, CHUNK_BYTES, holdChunk, isShared, releaseChunk } from '../chunk.ts';
import { KitError } from '../errors.ts';
import { type Digest, type DigestAlgorithm, Digester } from './digest.ts';

/** Below this a thread costs more than it gains. */
const WORTH_A_THREAD = 8 * CHUNK_BYTES;
/** Chunks that may wait for their thread, for one stream. */
const MAX_QUEUED = 4;

let streams = 0;

/**
 * A running hash of many bytes. Chunks of shared memory are hashed on another thread, side by side with other streams and with
 * whatever is done with the bytes here; all else is hashed at once.
 */
export class StreamDigester implements Mover {
  readonly algorithm: DigestAlgorithm;
  readonly #stream = (streams += 1);
  readonly #inline: Digester;
  #mode: 'undecided' | 'inline' | 'thread';
  #thread: ByteThread | undefined;
  #queue: Promise<void>[] = [];
  #failure: { readonly error: unknown } | undefined;

  /** @param size bytes to come, where known */
  constructor(algorithm: DigestAlgorithm = 'sha256', size = Number.POSITIVE_INFINITY) {
    this.algorithm = algorithm;
    this.#inline = new Digester(algorithm);
    this.#mode = size < WORTH_A_THREAD || availableParallelism() === 1 ? 'inline' : 'undecided';
  }

  /** Takes the next bytes. They must stay as they are: a chunk is held here until it was hashed. */
  async update(bytes: Uint8Array): Promise<void> {
    if (this.#mode === 'undecided') {
      this.#mode = isShared(bytes) ? 'thread' : 'inline';
      if (this.#mode === 'thread') await this.#begin();
    }
    if (this.#mode === 'inline') {
      this.#inline.update(bytes);
      return;
    }
    if (isShared(bytes)) holdChunk(bytes);
    for (const part of isShared(bytes) ? [bytes] : shared(bytes)) {
      this.#queue.push(this.#hash(part));
      if (this.#queue.length > MAX_QUEUED) await this.#queue.shift();
    }
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  get hasThread(): boolean {
    return this.#thread !== undefined;
  }

  get isReady(): boolean {
    return this.#thread !== undefined && areThreadsBusy();
  }

  /** Takes what it moves as the next bytes. @throws KitError INTERNAL without a thread */
  async move(from: FilePosition, to: FilePosition | readonly Uint8Array[] | undefined, length: number): Promise<MoveResult> {
    if (this.#thread === undefined) throw new KitError('INTERNAL', 'bytes are hashed here and cannot be moved by a thread');
    return await this.#thread.move({ type: 'move', stream: this.#stream, algorithm: this.algorithm, from, to, length });
  }

  /** Has a thread read and hash the next bytes, from a file. Returns how many there were; undefined where bytes are hashed here. */
  async take(from: FilePosition, length: number): Promise<number | undefined> {
    if (this.#mode === 'undecided') {
      this.#mode = 'thread';
      await this.#begin();
    }
    return this.#mode === 'inline' ? undefined : (await this.move(from, undefined, length)).bytes;
  }

  async digest(): Promise<Digest> {
    if (this.#thread === undefined) return this.#inline.digest();
    await Promise.all(this.#queue);
    if (this.#failure !== undefined) throw this.#failure.error;
    const hex = await this.#thread.ask({ type: 'end', stream: this.#stream });
    this.#end();
    return `${this.algorithm}:${hex}`;
  }

  /** To be called when no digest will be asked for; does nothing after `digest`. */
  abandon(): void {
    this.#thread?.ask({ type: 'abandon', stream: this.#stream }).catch(() => undefined);
    this.#end();
  }

  async #begin(): Promise<void> {
    this.#thread = await joinThread('stream');
  }

  #end(): void {
    if (this.#thread !== undefined) this.#thread.members.stream -= 1;
    this.#thread = undefined;
  }

  async #hash(bytes: Uint8Array): Promise<void> {
    try {
      await this.#thread?.ask({ type: 'update', stream: this.#stream, algorithm: this.algorithm, bytes });
    } catch (error) {
      this.#failure ??= { error };
    }
    releaseChunk(bytes);
  }
}

function* shared(bytes: Uint8Array): Generator<Uint8Array> {
  for (let offset = 0; offset < bytes.byteLength; offset += CHUNK_BYTES) {
    const part = bytes.subarray(offset, offset + CHUNK_BYTES);
    const chunk = allocateChunk().subarray(0, part.byteLength);
    chunk.set(part);
    yield chunk;
  }
}
