import { accessSync, constants, existsSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { KitError } from '../errors.ts';

/** The KitError for what the file system said about `path`. KitErrors and errors of other kinds pass through. */
export function asPathError(error: unknown, path: string): Error {
  if (error instanceof KitError) return error;
  if (!(error instanceof Error)) return new Error(String(error));
  const { code, errno, syscall } = error as NodeJS.ErrnoException;
  // an argument that Node refuses has a code too, and is our own defect
  if (errno === undefined) return error;
  const cause = error;
  switch (code) {
    case 'ENOENT':
      if (syscall === 'mkdir') return folderError(path, error);
      return new KitError('PATH_NOT_FOUND', `${path} does not exist`, { cause, hint: `\`ls ${nearest(path)}\` shows what there is` });
    case 'ENOTDIR':
      return new KitError('PATH_NOT_FOUND', `${path} does not exist: a part of the path is not a directory`, { cause });
    case 'EACCES':
    case 'EPERM':
      return new KitError('PATH_UNREADABLE', `${path}: permission denied`, {
        cause,
        hint: `check the permissions: \`ls -ld ${nearest(path)}\``,
      });
    case 'EROFS':
      return new KitError('IO_FAILED', `${path}: the file system is read-only`, { cause, hint: 'name a place that may be written' });
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

/** Node says ENOENT of whatever keeps `mkdir` with parents from making them: the last folder that is there knows better. */
function folderError(path: string, cause: NodeJS.ErrnoException): Error {
  const folder = nearest(path);
  try {
    accessSync(folder, constants.W_OK);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') return asPathError(error, path);
  }
  return new KitError('PATH_NOT_FOUND', `${path} does not exist`, { cause });
}

/** `path`, or the nearest folder above it that exists. */
function nearest(path: string): string {
  if (existsSync(path)) return path;
  let folder = dirname(resolve(path));
  while (!existsSync(folder)) folder = dirname(folder);
  return folder;
}
