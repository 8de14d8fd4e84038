import { isKitError, KitError } from '../errors.ts';

export function isErrno(error: unknown, ...codes: string[]): error is NodeJS.ErrnoException {
  return error instanceof Error && codes.includes((error as NodeJS.ErrnoException).code ?? '');
}

/** What the operating system said about `path`, as a KitError; anything else is passed through. */
export function ioError(error: unknown, path: string): unknown {
  if (isKitError(error) || !(error instanceof Error) || (error as NodeJS.ErrnoException).errno === undefined) return error;
  if (isErrno(error, 'ENOSPC', 'EDQUOT')) {
    return new KitError('DISK_FULL', `no space is left to write ${path}`, {
      hint: 'free some space, for example with `kit remove --all`, and run the command again; what was downloaded is kept until then',
      cause: error,
    });
  }
  const { code = 'unknown error' } = error as NodeJS.ErrnoException;
  const denied = isErrno(error, 'EACCES', 'EPERM', 'EROFS');
  return new KitError('IO_FAILED', `${path}: ${denied ? 'access was denied' : 'the operating system refused it'} (${code})`, {
    hint: denied ? 'check the owner and the permissions of the path' : 'check that the disk and the path are sound',
    cause: error,
  });
}

/** Runs `work`, naming `path` in what the operating system complains about. */
export async function withPath<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw ioError(error, path);
  }
}
