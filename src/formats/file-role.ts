import { posix } from 'node:path';
import { fileKind, isLicenseName, isReadmeName } from '../kitfile/file-kind.ts';
import type { Role } from '../kitfile/types.ts';

const NOTICES = /^(?:license|licence|copying|notice)/i;
const SOURCES = /\.(?:py|ipynb|sh|js|ts|c|cc|cpp|h|rs|go|java)$/i;

/** What a file of a model's folder is by its name: weights, what belongs to them (config, tokenizer), documentation or code. */
export function roleOfModelFile(path: string): 'model' | 'modelpart' | 'docs' | 'code' {
  const name = posix.basename(path);
  if (isReadmeName(name) || isLicenseFile(path)) return 'docs';
  const kind = fileKind(name);
  if (kind === 'model') return 'model';
  if (kind === 'docs') return 'docs';
  return SOURCES.test(name) ? 'code' : 'modelpart';
}

/** What a file is whose artifact does not say. */
export function roleOfFile(path: string): Role {
  return fileKind(posix.basename(path)) === 'dataset' ? 'dataset' : roleOfModelFile(path);
}

export function isLicenseFile(path: string): boolean {
  const name = posix.basename(path);
  return isLicenseName(name) || NOTICES.test(name);
}
