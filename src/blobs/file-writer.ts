import { open } from 'node:fs/promises';
import { asPathError } from './path-error.ts';
import type { Bytes } from './source.ts';

/** Bytes that may wait while a write is under way. */
const MAX_QUEUED = 2 * 1024 * 1024;
const MAX_CHUNKS = 512;

/**
 * Writes a new file while the next chunks are read; memory stays within a few times MAX_QUEUED.
 * `name` stands for the file in messages. Errors of the source come through as they are.
 * @throws KitError
 */
export async function writeNewFile(file: string, name: string, mode: number, content: Bytes): Promise<void> {
  const handle = await naming(name, async () => await open(file, 'wx', 0o600));
  try {
    await writeBehind(handle, name, content);
    await naming(name, async () => await handle.chmod(mode));
  } finally {
    await naming(name, async () => await handle.close());
  }
}

/** What is needed of a file to write it from its beginning. */
interface Appendable {
  writev(chunks: readonly Uint8Array[]): Promise<{ bytesWritten: number }>;
}

/** Appends to an open file; the next chunks are read while the last are written. @throws KitError */
export async function writeBehind(file: Appendable, name: string, content: Bytes): Promise<void> {
  let queue: Uint8Array[] = [];
  let queued = 0;
  let writing: Promise<void> | undefined;
  let failure: { readonly error: unknown } | undefined;

  async function writeQueue(): Promise<void> {
    try {
      while (queue.length > 0) {
        const batch = queue;
        queue = [];
        queued = 0;
        await writeFully(file, batch);
      }
    } catch (error) {
      failure = { error };
    }
    writing = undefined;
  }

  try {
    for await (const chunk of content) {
      queue.push(chunk);
      queued += chunk.byteLength;
      writing ??= writeQueue();
      if (queued >= MAX_QUEUED || queue.length >= MAX_CHUNKS) await writing;
      if (failure !== undefined) break;
    }
  } finally {
    await writing;
  }
  if (failure !== undefined) throw asPathError(failure.error, name);
}

async function writeFully(file: Appendable, batch: readonly Uint8Array[]): Promise<void> {
  let rest = batch.filter((chunk) => chunk.byteLength > 0);
  while (rest.length > 0) {
    let { bytesWritten } = await file.writev(rest);
    const first = rest.findIndex((chunk) => (bytesWritten -= chunk.byteLength) < 0);
    if (first === -1) return;
    const chunk = rest[first] as Uint8Array;
    rest = [chunk.subarray(chunk.byteLength + bytesWritten), ...rest.slice(first + 1)];
  }
}

async function naming<T>(name: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw asPathError(error, name);
  }
}
