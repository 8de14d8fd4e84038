import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { asPathError } from '../blobs/path-error.ts';
import { KitError } from '../errors.ts';
import type { Index } from '../oci/manifest.ts';
import { writeFileAtomic } from './atomic-file.ts';
import { BlobDirectory } from './blob-directory.ts';
import { type EntryList, IndexedTarget } from './indexed-target.ts';
import { isErrno, withPath } from './io-error.ts';
import * as layoutIndex from './layout-index.ts';
import { withLock } from './lock.ts';

export interface LayoutOptions {
  /** Makes a layout of a directory that is missing or empty, when the first thing is written to it. */
  readonly create?: boolean;
  /** How messages name it; `oci:DIR` unless told. */
  readonly name?: string;
}

/** Opens an OCI image layout (image spec, image-layout.md). @throws KitError PATH_NOT_FOUND | STORE_INVALID */
export async function openLayout(directory: string, { create = false, name }: LayoutOptions = {}): Promise<Layout> {
  const isMade = await hasMarker(directory);
  if (!isMade) await checkPlace(directory, create);
  return new Layout(directory, name ?? `oci:${directory}`, isMade ? undefined : () => make(directory));
}

async function hasMarker(directory: string): Promise<boolean> {
  const marker = join(directory, 'oci-layout');
  const text = await readText(marker);
  if (text !== undefined) layoutIndex.checkLayoutMarker(text, marker);
  return text !== undefined;
}

/** A place where a layout may be made. */
async function checkPlace(directory: string, create: boolean): Promise<void> {
  const names = await listDirectory(directory);
  if (!create && names === undefined) {
    throw new KitError('PATH_NOT_FOUND', `there is no image layout at ${directory}: the directory does not exist`, {
      hint: 'check the path after `oci:`',
    });
  }
  if (names !== undefined && (names.length > 0 || !create)) {
    throw new KitError('STORE_INVALID', `${directory} is not an OCI image layout: it has no oci-layout file`, {
      hint: create ? 'name a directory that is empty or does not exist' : 'check the path after `oci:`',
    });
  }
}

async function make(directory: string): Promise<void> {
  await withPath(directory, async () => await mkdir(join(directory, 'blobs', 'sha256'), { recursive: true }));
  await withLock(lockIn(directory), async () => {
    // another process may have been first
    if (await hasMarker(directory)) return;
    await writeFileAtomic(join(directory, 'index.json'), layoutIndex.serializeIndex(layoutIndex.EMPTY_INDEX));
    // last: a directory with this file is a layout
    await writeFileAtomic(join(directory, 'oci-layout'), layoutIndex.LAYOUT_MARKER);
  });
}

function lockIn(directory: string): string {
  return join(directory, 'index.lock');
}

/** An image layout in a directory. */
export class Layout extends IndexedTarget {
  readonly directory: string;
  readonly blobs: BlobDirectory;
  /** Makes the directory a layout now, where it is not one. */
  readonly make: () => Promise<void>;

  /** Use `openLayout`: it checks the directory. `toMake` is called once, before the first write. */
  constructor(directory: string, name: string, toMake: (() => Promise<void>) | undefined) {
    let made: Promise<void> | undefined = toMake === undefined ? Promise.resolve() : undefined;
    const prepare = (): Promise<void> => (made ??= toMake?.() ?? Promise.resolve());
    const blobs = new BlobDirectory(directory, { prepare });
    super(
      name,
      blobs,
      indexFileIn(directory, prepare, () => made !== undefined),
    );
    this.directory = directory;
    this.blobs = blobs;
    this.make = prepare;
  }
}

/** The list of manifests in index.json, changed by one process at a time. */
function indexFileIn(directory: string, prepare: () => Promise<void>, isMade: () => boolean): EntryList {
  const file = join(directory, 'index.json');
  const readIndex = async (): Promise<Index> => {
    if (isMade()) await prepare();
    const index = await layoutIndex.readIndexFile(file);
    if (index !== undefined) return index;
    if (!isMade()) return layoutIndex.EMPTY_INDEX;
    throw new KitError('STORE_INVALID', `${file} is missing`, { hint: 'an image layout has this file' });
  };
  return {
    read: async () => (await readIndex()).manifests,
    update: async (change, options) => {
      await prepare();
      const work = async (): Promise<void> => {
        const index = await readIndex();
        const manifests = change(index.manifests);
        if (manifests !== index.manifests) await layoutIndex.writeIndexFile(file, { ...index, manifests });
      };
      await withLock(lockIn(directory), work, { signal: options.signal });
    },
  };
}

async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw asPathError(error, path);
  }
}

async function listDirectory(path: string): Promise<string[] | undefined> {
  try {
    return await readdir(path);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    if (isErrno(error, 'ENOTDIR')) {
      throw new KitError('STORE_INVALID', `${path} is not a directory`, { hint: 'for a tar file write `oci-archive:FILE`' });
    }
    throw asPathError(error, path);
  }
}
