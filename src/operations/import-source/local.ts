import { mkdir, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { type Compression, decompress } from '../../blobs/compress.ts';
import { extractTar } from '../../blobs/extract.ts';
import { rawLayer } from '../../blobs/layer.ts';
import { asPathError } from '../../blobs/path-error.ts';
import type { Bytes } from '../../blob-source.ts';
import { Staging } from '../../blobs/staging.ts';
import { openContext, type WalkEntry, walkLayer } from '../../blobs/walk.ts';
import type { CallOptions } from '../../events.ts';
import type { RemoteFile } from '../../hub/remote-file.ts';
import { selectFiles } from './filter.ts';
import type { ImportLocation, ImportSource } from './source.ts';
import { ImportTree } from './tree.ts';
import type { Kit } from '../kit.ts';

const ARCHIVE = /\.(?:tar|tar\.gz|tgz|tar\.zst|tzst)$/i;

/** True for the name of an archive that can be unpacked: a tar, as it is or compressed. */
export function isArchiveName(name: string): boolean {
  return ARCHIVE.test(name);
}

/** A directory or an archive of this machine. @throws KitError PATH_NOT_FOUND | PATH_UNSUPPORTED | LAYER_INVALID | UNSAFE_ENTRY ... */
export async function openLocalSource(kit: Kit, location: ImportLocation, call: CallOptions): Promise<ImportSource> {
  const path = resolve(location.source);
  const stats = await stat(path, { bigint: true }).catch((error: unknown) => {
    throw asPathError(error, location.source);
  });
  const name = basename(path);
  if (stats.isDirectory()) return fromDirectory(path, name, location);
  const file = walkLayer(openContext(join(path, '..')), name, () => 'keep').at(-1) as WalkEntry;
  if (isArchiveName(name)) return await openArchiveSource(kit, rawLayer(file).open(undefined, call.signal), location, name);
  return sourceOf([toFile(file)], name, location);
}

/** The files of a tar that arrives, unpacked below the home of kit until the source is disposed of. */
export async function openArchiveSource(kit: Kit, bytes: Bytes, location: ImportLocation, name: string): Promise<ImportSource> {
  await mkdir(join(kit.home, 'cache'), { recursive: true });
  const folder = await mkdtemp(join(kit.home, 'cache', 'import-'));
  const dispose = async (): Promise<void> => await rm(folder, { recursive: true, force: true });
  try {
    const staging = new Staging(folder, 'fail');
    try {
      await extractTar(decompress(bytes, compressionOf(name), name), staging, { layer: name });
      staging.commit();
    } finally {
      await staging.discard();
    }
    return { ...fromDirectory(await withoutWrapper(folder), name.replace(ARCHIVE, ''), location), dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
}

function compressionOf(name: string): Compression {
  if (/gz$/i.test(name)) return 'gzip';
  return /zst$/i.test(name) ? 'zstd' : 'none';
}

/** Archives of a release often hold one folder with everything in it. */
async function withoutWrapper(folder: string): Promise<string> {
  const [only, ...others] = await readdir(folder, { withFileTypes: true });
  return only?.isDirectory() === true && others.length === 0 ? join(folder, only.name) : folder;
}

function fromDirectory(directory: string, name: string, location: ImportLocation): ImportSource {
  const entries = walkLayer(openContext(directory), '.', (path) => (path === '.git' ? 'prune' : 'keep'));
  return sourceOf(entries.filter(({ type }) => type === 'file').map(toFile), name, location);
}

function sourceOf(files: readonly RemoteFile[], name: string, location: ImportLocation): ImportSource {
  return {
    name,
    tree: new ImportTree(selectFiles(files, location, undefined, location.source)),
    card: { type: 'model', id: name },
    // a path of this machine is nobody else's business
    annotations: {},
    revision: undefined,
    uri: location.source,
  };
}

function toFile(entry: WalkEntry): RemoteFile {
  const { path, size, mode } = entry;
  return { path, size, mode, digest: undefined, blobId: undefined, open: (range, call) => rawLayer(entry).open(range, call.signal) };
}
