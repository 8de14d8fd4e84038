import type { FileHandle } from 'node:fs/promises';

/** An open file, and what to say when reading it fails. */
export interface FileToRead {
  readonly handle: FileHandle;
  /** The error for what the file system says. */
  readonly failed: (error: unknown) => unknown;
  /** The error for a file that ends at `position`. */
  readonly cutOff: (position: number) => unknown;
}

/** Fills `chunk` from `position`, by a thread. @throws what `failed` and `cutOff` say; the signal's reason when aborted */
export async function readFully(file: FileToRead, chunk: Uint8Array, position: number, signal: AbortSignal | undefined): Promise<void> {
  for (let done = 0; done < chunk.byteLength;) {
    signal?.throwIfAborted();
    let read: { readonly bytesRead: number };
    try {
      read = await file.handle.read(chunk, done, chunk.byteLength - done, position + done);
    } catch (error) {
      throw file.failed(error);
    }
    if (read.bytesRead === 0) throw file.cutOff(position + done);
    done += read.bytesRead;
  }
}
