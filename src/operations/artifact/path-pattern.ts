import { posix } from 'node:path';
import { isWithin } from '../../blobs/safe-path.ts';
import { cleanLayerPath } from '../../kitfile/layer-path.ts';

/**
 * True when the pattern names the file: by its path, by a folder that it lies in, or as a glob. As in .gitignore, a pattern with a slash
 * in it is taken from the root (`./a` is the file `a` there), and one without applies to names at any depth.
 */
export function matchesPath(pattern: string, path: string): boolean {
  const clean = cleanPattern(pattern);
  if (path === clean || isWithin(path, clean)) return true;
  if (isAnchored(pattern)) return isGlob(clean) && posix.matchesGlob(path, clean);
  const name = posix.basename(path);
  return name === clean || (isGlob(clean) && (posix.matchesGlob(name, clean) || posix.matchesGlob(path, clean)));
}

/** False when no file below the folder `layerPath` can match. */
export function mayMatchBelow(pattern: string, layerPath: string): boolean {
  if (!isAnchored(pattern)) return true;
  const [folder, clean] = [cleanLayerPath(layerPath), cleanPattern(pattern)];
  if (folder === '.') return true;
  const segments = clean.split('/');
  const firstGlob = segments.findIndex(isGlob);
  const literal = (firstGlob === -1 ? segments : segments.slice(0, firstGlob)).join('/');
  return isWithin(literal, folder) || isWithin(folder, literal);
}

function isAnchored(pattern: string): boolean {
  return pattern.includes('/');
}

function cleanPattern(pattern: string): string {
  return cleanLayerPath(pattern.replace(/^\/+/, ''));
}

function isGlob(pattern: string): boolean {
  return /[*?[{\\]/.test(pattern);
}
