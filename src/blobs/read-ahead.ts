import { allocateChunk, releaseChunk } from '../chunk.ts';
import { type FileToRead, readFully } from './read-fully.ts';
import type { ByteRange } from './source.ts';

/** Reads under way for one file. */
const READS = 2;
/** Below this, memory of its own size is cheaper. */
const SMALL_READ = 128 * 1024;

/**
 * The range in chunks, read by threads while the receiver is busy with those before.
 * @throws what `file` says; the signal's reason when aborted
 */
export async function* readAhead(
  file: FileToRead,
  range: ByteRange,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array, void, undefined> {
  const started: { readonly chunk: Uint8Array; readonly done: Promise<void> }[] = [];
  let next = range.start;
  const begin = (): void => {
    while (next < range.end && started.length < READS) {
      const left = range.end - next;
      const chunk = left < SMALL_READ ? Buffer.allocUnsafe(left) : allocateChunk().subarray(0, left);
      const done = readFully(file, chunk, next, signal);
      // whoever waits for it gets the error; until then it is nobody's
      done.catch(() => undefined);
      started.push({ chunk, done });
      next += chunk.byteLength;
    }
  };
  try {
    begin();
    for (let [first] = started; first !== undefined; [first] = started) {
      await first.done;
      started.shift();
      begin();
      yield first.chunk;
    }
  } finally {
    // the file is closed next
    await Promise.allSettled(started.map(({ done }) => done));
    for (const { chunk } of started) releaseChunk(chunk);
  }
}
