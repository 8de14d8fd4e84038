import { posix } from 'node:path';

import { parseReference } from '../oci/reference.ts';
import { isKitError } from '../errors.ts';

/** `./a`, `a/` and `a` are one path; no path is the whole context, `.`. Backslashes are ordinary characters. */
export function cleanLayerPath(path: string | undefined): string {
  const cleaned = posix.normalize(path === undefined || path === '' ? '.' : path);
  return cleaned.length > 1 && cleaned.endsWith('/') ? cleaned.slice(0, -1) : cleaned;
}

/** Why `path` cannot be a layer path of a Kitfile, or undefined. Segment by segment: `a..b` is a legal name. */
export function layerPathProblem(path: string): string | undefined {
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(path)) return 'URLs are not supported in paths';
  if (path.startsWith('/')) return 'absolute paths are not supported in a Kitfile';
  if (path.includes('\0')) return 'paths must not hold a NUL character';
  const cleaned = cleanLayerPath(path);
  if (cleaned === '..' || cleaned.startsWith('../')) return 'paths must stay within the context directory';
  return undefined;
}

/** True when a path of a Kitfile names another ModelKit (`repository:tag`, `registry/repository@digest`), by kit's rule. */
export function isModelKitReference(path: string): boolean {
  if (!/[:@]/.test(path)) return false;
  try {
    parseReference(path);
    return true;
  } catch (error) {
    if (isKitError(error, 'REFERENCE_INVALID')) return false;
    throw error;
  }
}
