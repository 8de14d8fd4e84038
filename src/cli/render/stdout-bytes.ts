import { KitError } from '../../errors.ts';

let isGuarded = false;

/**
 * Writes to stdout; resolves when the bytes are out and may be changed.
 * @throws KitError DISK_FULL | IO_FAILED, also when the reader went away: what it has is not all
 */
export async function writeStdoutBytes(bytes: Uint8Array): Promise<void> {
  // the callback gets the error; without a listener it would end the process as well
  if (!isGuarded) process.stdout.on('error', () => {});
  isGuarded = true;
  await new Promise<void>((resolve, reject) => {
    process.stdout.write(bytes, (error) => (error ? reject(asKitError(error)) : resolve()));
  });
}

function asKitError(cause: NodeJS.ErrnoException): KitError {
  const code = cause.code === 'ENOSPC' || cause.code === 'EDQUOT' ? 'DISK_FULL' : 'IO_FAILED';
  const why = cause.code === 'EPIPE' ? 'its reader went away' : cause.message;
  return new KitError(code, `standard output cannot be written: ${why}`, { cause });
}
