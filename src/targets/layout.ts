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
  /** Makes a layout of a directory that is missing or empty. */
  readonly create?: boolean;
  /** How messages name it; `oci:DIR` unless told. */
  readonly name?: string;
}

/** Opens an OCI image layout (image spec, image-layout.md). @throws KitError PATH_NOT_FOUND | STORE_INVALID */
export async function openLayout(directory: string, { create = false, name }: LayoutOptions = {}): Promise<Layout> {
  const marker = join(directory, 'oci-layout');
  const text = await readText(marker);
  if (text !== undefined) layoutIndex.checkLayoutMarker(text, marker);
  else await initialize(directory, create);
  return new Layout(directory, name ?? `oci:${directory}`);
}

async function initialize(directory: string, create: boolean): Promise<void> {
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
  await withPath(directory, async () => await mkdir(join(directory, 'blobs', 'sha256'), { recursive: true }));
  await writeFileAtomic(join(directory, 'index.json'), layoutIndex.serializeIndex(layoutIndex.EMPTY_INDEX));
  // last: a directory with this file is a layout
  await writeFileAtomic(join(directory, 'oci-layout'), layoutIndex.LAYOUT_MARKER);
}

/** An image layout in a directory. */
export class Layout extends IndexedTarget {
  readonly directory: string;
  readonly blobs: BlobDirectory;

  /** Use `openLayout`: it checks the directory. */
  constructor(directory: string, name: string) {
    const blobs = new BlobDirectory(directory);
    super(name, blobs, indexFileIn(directory));
    this.directory = directory;
    this.blobs = blobs;
  }
}

/** The list of manifests in index.json, changed by one process at a time. */
function indexFileIn(directory: string): EntryList {
  const file = join(directory, 'index.json');
  const readIndex = async (): Promise<Index> => {
    const index = await layoutIndex.readIndexFile(file);
    if (index === undefined) throw new KitError('STORE_INVALID', `${file} is missing`, { hint: 'an image layout has this file' });
    return index;
  };
  return {
    read: async () => (await readIndex()).manifests,
    update: async (change, options) => {
      const work = async (): Promise<void> => {
        const index = await readIndex();
        const manifests = change(index.manifests);
        if (manifests !== index.manifests) await layoutIndex.writeIndexFile(file, { ...index, manifests });
      };
      await withLock(join(directory, 'index.lock'), work, { signal: options.signal });
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
