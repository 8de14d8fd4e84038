import { KitError } from '../errors.ts';

/** The KitError for what the file system said about `path`. KitErrors and errors of other kinds pass through. */
export function asPathError(error: unknown, path: string): Error {
  if (error instanceof KitError) return error;
  if (!(error instanceof Error)) return new Error(String(error));
  const { code, errno } = error as NodeJS.ErrnoException;
  // an argument that Node refuses has a code too, and is our own defect
  if (errno === undefined) return error;
  const cause = error;
  switch (code) {
    case 'ENOENT':
      return new KitError('PATH_NOT_FOUND', `${path} does not exist`, { cause });
    case 'ENOTDIR':
      return new KitError('PATH_NOT_FOUND', `${path} does not exist: a part of the path is not a directory`, { cause });
    case 'EACCES':
    case 'EPERM':
      return new KitError('PATH_UNREADABLE', `${path}: permission denied`, { cause, hint: `check the permissions: \`ls -ld ${path}\`` });
    case 'EISDIR':
      return new KitError('PATH_UNREADABLE', `${path} is a directory where a file is expected`, { cause });
    case 'ELOOP':
      return new KitError('PATH_UNSUPPORTED', `${path} is a loop of symbolic links`, { cause });
    case 'ENOSPC':
    case 'EDQUOT':
      return new KitError('DISK_FULL', `${path}: no space left on the device`, {
        cause,
        hint: 'free some space, for example with `kit remove --all`, then run the command again',
      });
    case 'EEXIST':
      return new KitError('PATH_EXISTS', `${path} already exists`, { cause });
    default:
      return new KitError('IO_FAILED', `${path}: ${error.message}`, { cause });
  }
}
