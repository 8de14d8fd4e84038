import { writeSync } from 'node:fs';
import { EXIT, KitError } from '../../errors.ts';

const STDOUT = 1;
let streams = false;

/**
 * Writes data to stdout; it is out when this returns, except where the other end is slow and asked not to be waited for.
 * The process ends when the reader went away. @throws KitError DISK_FULL | IO_FAILED
 */
export function writeStdout(text: string): void {
  const bytes = Buffer.from(text);
  // process.stdout writes at once too, except on Windows, but to load it takes longer than all else that a short command does
  const written = streams || process.platform === 'win32' ? 0 : writeNow(bytes);
  if (written < bytes.byteLength) writeStream(bytes.subarray(written));
}

/** Returns how many bytes went before the reader of a non-blocking pipe was full. */
function writeNow(bytes: Uint8Array): number {
  let written = 0;
  try {
    while (written < bytes.byteLength) written += writeSync(STDOUT, bytes, written);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') refuse(error as NodeJS.ErrnoException);
  }
  return written;
}

function writeStream(bytes: Uint8Array): void {
  if (!streams) process.stdout.on('error', refuse);
  streams = true;
  process.stdout.write(bytes);
}

function refuse(cause: NodeJS.ErrnoException): never {
  // a reader that goes away (`kit list | head -1`) is no failure of ours
  if (cause.code === 'EPIPE') process.exit(EXIT.failure);
  const code = cause.code === 'ENOSPC' || cause.code === 'EDQUOT' ? 'DISK_FULL' : 'IO_FAILED';
  throw new KitError(code, `standard output cannot be written: ${cause.message}`, { cause });
}
