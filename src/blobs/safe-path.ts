import { KitError } from '../errors.ts';

/**
 * The cleaned form of a path from an archive, annotation or Kitfile: relative, `/` between segments, no `.` segments.
 * Refuses what would leave the target or mean different files on different systems; `a..b.txt` is legal.
 * Returns '' for the target itself.
 * @throws KitError UNSAFE_PATH, which starts with `where`
 */
export function safePath(path: string, where: string): string {
  const why = unsafeReason(path);
  if (why !== undefined) {
    throw new KitError('UNSAFE_PATH', `${where}: path ${JSON.stringify(shortened(path))} ${why}`, {
      hint: 'nothing was written; do not use this artifact unless you know who made it',
    });
  }
  return path
    .split('/')
    .filter((segment) => segment !== '' && segment !== '.')
    .join('/');
}

/** Longest path that Linux takes, in bytes. */
const MAX_PATH = 4095;
/** Longest name between two slashes. */
const MAX_NAME = 255;

/** Why `path` is never written or packed; undefined when it is fine. */
export function unsafeReason(path: string): string | undefined {
  if (path === '') return 'is empty';
  if (path.includes('\0')) return 'holds a NUL byte';
  if (path.includes('\\')) return 'holds a backslash, which separates directories on some systems';
  if (path.startsWith('/')) return 'is absolute';
  if (/^[a-zA-Z]:\//.test(path)) return 'starts with a drive letter';
  const segments = path.split('/');
  if (segments.includes('..')) return 'leaves the directory';
  if (Buffer.byteLength(path) > MAX_PATH || segments.some((name) => Buffer.byteLength(name) > MAX_NAME)) return 'is too long';
  return undefined;
}

/** True when `path` is `directory` or lies under it. Both cleaned, or both real; `.` or '' holds everything. */
export function isWithin(path: string, directory: string): boolean {
  return (
    directory === '' || directory === '.' || path === directory || path.startsWith(directory.endsWith('/') ? directory : `${directory}/`)
  );
}

function shortened(path: string): string {
  return path.length > 300 ? `${path.slice(0, 300)}…` : path;
}
