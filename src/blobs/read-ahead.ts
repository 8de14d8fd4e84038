import { allocateChunk, CHUNK_BYTES, releaseChunk } from '../chunk.ts';
import type { ByteRange } from './source.ts';

/** Reads under way for one file. */
const READS = 2;
/** Below this, memory of its own size is cheaper. */
const SMALL_READ = 128 * 1024;

/** The range in chunks; the next is read while the receiver has the last. `readInto` fills its chunk or throws. */
export async function* readAhead(
  range: ByteRange,
  readInto: (chunk: Uint8Array, position: number) => Promise<void>,
): AsyncGenerator<Uint8Array, void, undefined> {
  const started: { readonly chunk: Uint8Array; readonly done: Promise<void> }[] = [];
  let next = range.start;
  const start = (): void => {
    const left = range.end - next;
    const chunk = left < SMALL_READ ? Buffer.allocUnsafe(left) : allocateChunk().subarray(0, left);
    const done = readInto(chunk, next);
    // whoever waits for it gets the error; until then it is nobody's
    done.catch(() => undefined);
    started.push({ chunk, done });
    next += CHUNK_BYTES;
  };
  try {
    while (next < range.end && started.length < READS) start();
    for (let read = started.shift(); read !== undefined; read = started.shift()) {
      await read.done;
      if (next < range.end) start();
      yield read.chunk;
    }
  } finally {
    // the file is closed next
    await Promise.allSettled(started.map(({ done }) => done));
    for (const { chunk } of started) releaseChunk(chunk);
  }
}
