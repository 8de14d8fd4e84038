import type { Transform } from 'node:stream';
import { releaseChunk } from '../chunk.ts';
import type { Bytes } from '../blob-source.ts';

/** A zlib stream: it counts what it took. */
export type Codec = Transform & { readonly bytesWritten: number };

/**
 * Runs bytes through streams of node:zlib. Each chunk is written when the one before was taken, and read when the consumer asks:
 * nothing piles up. The source is ended when the consumer stops, and its errors come through as they are.
 */
export class CodecFeed {
  readonly #source: AsyncIterator<Uint8Array>;
  #rest: Uint8Array | undefined;

  constructor(bytes: Bytes) {
    this.#source = bytes[Symbol.asyncIterator]();
  }

  /** True when the last codec ended before its input did. */
  get hasRest(): boolean {
    return this.#rest !== undefined;
  }

  /** What the codec makes of the bytes, until either ends. */
  async *run(codec: Codec): AsyncGenerator<Uint8Array> {
    let failure: { readonly error: unknown } | undefined;
    const feeding = this.#feed(codec).catch((error: unknown) => {
      failure = { error };
      codec.destroy(error instanceof Error ? error : new Error(String(error)));
    });
    try {
      for await (const chunk of codec) yield chunk as Uint8Array;
    } catch (error) {
      // an error of the source destroys the codec with it
      throw failure === undefined ? error : failure.error;
    } finally {
      codec.destroy();
      await feeding;
    }
  }

  async #feed(codec: Codec): Promise<void> {
    for (let fed = 0; ;) {
      const chunk = await this.next();
      if (chunk === undefined) {
        codec.end();
        return;
      }
      fed += chunk.byteLength;
      await taken(codec, chunk);
      // a codec that ends in the middle of a chunk says so only by this
      if (codec.bytesWritten < fed) {
        this.#rest = chunk.subarray(chunk.byteLength - (fed - codec.bytesWritten));
        return;
      }
      releaseChunk(chunk);
    }
  }

  /** The next bytes that no codec took; undefined at the end of the source. */
  async next(): Promise<Uint8Array | undefined> {
    const rest = this.#rest;
    this.#rest = undefined;
    if (rest !== undefined) return rest;
    for (;;) {
      const next = await this.#source.next();
      if (next.done === true) return undefined;
      if (next.value.byteLength > 0) return next.value;
    }
  }

  /** Ends the source, so that what it holds open is closed. */
  async close(): Promise<void> {
    await this.#source.return?.();
  }
}

// resolves when the codec took the chunk, or takes no more
async function taken(codec: Codec, chunk: Uint8Array): Promise<void> {
  await new Promise<void>((resolve) => {
    if (codec.destroyed || codec.readableEnded) {
      resolve();
      return;
    }
    const done = (): void => {
      codec.off('end', done);
      codec.off('close', done);
      resolve();
    };
    codec.on('end', done);
    codec.on('close', done);
    codec.write(chunk, done);
  });
}
