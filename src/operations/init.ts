import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { asPathError } from '../blobs/path-error.ts';
import { KitError } from '../errors.ts';
import { isLicenseName } from '../kitfile/file-kind.ts';
import { type ContextEntry, generateKitfile } from '../kitfile/generate.ts';
import { KITFILE_NAMES } from '../kitfile/parse.ts';
import { printKitfile } from '../kitfile/print.ts';
import type { Kitfile } from '../kitfile/types.ts';

export interface InitArguments {
  readonly directory: string;
  readonly name?: string | undefined;
  readonly description?: string | undefined;
  readonly author?: string | undefined;
  /** Replaces a Kitfile that is there. */
  readonly force?: boolean;
}

export interface InitResult {
  readonly path: string;
  readonly kitfile: Kitfile;
  readonly text: string;
}

/** A license file beyond this is no license. */
const MAX_LICENSE_BYTES = 256 * 1024;

/** Writes a Kitfile for what a directory holds. @throws KitError PATH_EXISTS | PATH_NOT_FOUND */
export async function init({ directory, force = false, ...options }: InitArguments): Promise<InitResult> {
  const path = join(directory, KITFILE_NAMES[0]);
  const exists = (await stat(path).catch(() => undefined)) !== undefined;
  if (exists && !force) throw new KitError('PATH_EXISTS', `Kitfile already exists at ${path}`, { hint: 'use `--force` to overwrite it' });
  const kitfile = generateKitfile(await listContext(directory), options);
  const text = printKitfile(kitfile);
  try {
    await writeFile(path, text);
  } catch (error) {
    throw asPathError(error, path);
  }
  return { path, kitfile, text };
}

/** Two levels: a directory is judged by what it holds itself. */
async function listContext(directory: string): Promise<ContextEntry[]> {
  const top = await listDirectory(directory, '');
  const below = await Promise.all(top.filter(({ isDirectory }) => isDirectory).map(({ path }) => listDirectory(directory, `${path}/`)));
  return [...top, ...below.flat()];
}

async function listDirectory(root: string, prefix: string): Promise<ContextEntry[]> {
  try {
    const names = await readdir(join(root, prefix));
    const entries = await Promise.all(names.map((name) => toEntry(root, prefix + name)));
    return entries.filter((entry) => entry !== undefined);
  } catch (error) {
    throw asPathError(error, join(root, prefix));
  }
}

async function toEntry(root: string, path: string): Promise<ContextEntry | undefined> {
  const file = join(root, path);
  // a dangling link, or a file that went away: pack will name it
  const stats = await stat(file).catch(() => undefined);
  if (stats === undefined || (!stats.isFile() && !stats.isDirectory())) return undefined;
  const isLicense = stats.isFile() && !path.includes('/') && isLicenseName(path) && stats.size <= MAX_LICENSE_BYTES;
  return { path, size: stats.size, isDirectory: stats.isDirectory(), ...(isLicense && { text: await readFile(file, 'utf8') }) };
}
