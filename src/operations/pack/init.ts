import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { asPathError } from '../../blobs/path-error.ts';
import { KitError } from '../../errors.ts';
import { type ContextEntry, generateKitfile, levelsOf, needsText } from '../../kitfile/generate.ts';
import { KITFILE_NAMES } from '../../kitfile/parse.ts';
import { printKitfile } from '../../kitfile/print.ts';
import type { Kitfile } from '../../kitfile/types.ts';

export interface InitArguments {
  readonly directory: string;
  readonly name?: string | undefined;
  readonly description?: string | undefined;
  readonly author?: string | undefined;
  /** How deep directories are looked into, as generateKitfile takes it. */
  readonly depth?: number | undefined;
  /** The file to write; default: `Kitfile` in the directory. `-` writes none. */
  readonly output?: string | undefined;
  /** Replaces a file that is there. */
  readonly force?: boolean;
}

export interface InitResult {
  /** Undefined where nothing was written. */
  readonly path: string | undefined;
  readonly kitfile: Kitfile;
  readonly text: string;
}

/** Writes a Kitfile for what a directory holds. @throws KitError PATH_EXISTS | PATH_NOT_FOUND */
export async function init({ directory, output, force = false, ...options }: InitArguments): Promise<InitResult> {
  const path = output ?? join(directory, KITFILE_NAMES[0]);
  return await saveKitfile(path, force, async () => generateKitfile(await listContext(directory, levelsOf(options.depth)), options));
}

/** Writes what `make` returns, which is not asked where a file is in the way. @throws KitError PATH_EXISTS */
export async function saveKitfile(path: string, force: boolean, make: () => Promise<Kitfile>): Promise<InitResult> {
  const isFile = path !== '-';
  if (isFile && !force && (await stat(path).catch(() => undefined)) !== undefined) {
    throw new KitError('PATH_EXISTS', `Kitfile already exists at ${path}`, {
      hint: 'use `--force` to overwrite it, or `--output` for another name',
    });
  }
  const kitfile = await make();
  const text = printKitfile(kitfile);
  if (isFile) {
    await writeFile(path, text).catch((error: unknown) => {
      throw asPathError(error, path);
    });
  }
  return { path: isFile ? path : undefined, kitfile, text };
}

/** Two levels, and more where they are asked for: a directory is judged by what it holds itself. */
async function listContext(root: string, levels: number): Promise<ContextEntry[]> {
  const found: ContextEntry[] = [];
  let folders = [''];
  for (let level = 1; level <= levels && folders.length > 0; level += 1) {
    const below: string[] = [];
    for (const folder of folders) {
      for (const { entry, isLink } of await listDirectory(root, folder)) {
        found.push(entry);
        // a link deep down may lead back up
        if (entry.isDirectory && (level === 1 || !isLink)) below.push(`${entry.path}/`);
      }
    }
    folders = below;
  }
  return found;
}

async function listDirectory(root: string, prefix: string): Promise<{ readonly entry: ContextEntry; readonly isLink: boolean }[]> {
  try {
    const names = await readdir(join(root, prefix), { withFileTypes: true });
    const entries = await Promise.all(
      names.map(async (found) => ({ entry: await toEntry(root, prefix + found.name), isLink: found.isSymbolicLink() })),
    );
    return entries.flatMap(({ entry, isLink }) => (entry === undefined ? [] : [{ entry, isLink }]));
  } catch (error) {
    throw asPathError(error, join(root, prefix));
  }
}

async function toEntry(root: string, path: string): Promise<ContextEntry | undefined> {
  const file = join(root, path);
  // a dangling link, or a file that went away: pack will name it
  const stats = await stat(file).catch(() => undefined);
  if (stats === undefined || (!stats.isFile() && !stats.isDirectory())) return undefined;
  const entry = { path, size: stats.size, isDirectory: stats.isDirectory() };
  return needsText(entry) ? { ...entry, text: await readFile(file, 'utf8') } : entry;
}
