import { isKitError, KitError } from '../errors.ts';
import type { Digest } from '../oci/digest.ts';
import { safePath } from './safe-path.ts';
import type { Bytes } from '../blob-source.ts';
import type { Staging } from './staging.ts';
import { type TarEntry, TarReader } from './tar-reader.ts';
import { verified } from './verified.ts';

/** Files up to this size are written in one call. */
const SMALL_FILE = 256 * 1024;

export interface ExtractOptions {
  /** The layer's digest, for messages. */
  readonly layer: string;
  /** Folder that the archive's paths are relative to; clean, '' for the target. */
  readonly base?: string;
  /** Folder in the archive that stands for `base`; what lies outside it is passed over. Clean. */
  readonly inner?: string | undefined;
  /** Decides by clean path whether a file is wanted. */
  readonly select?: (path: string, size: number) => boolean;
  /** Called with the clean path of every file, before it is decided whether it is written. */
  readonly seen?: (path: string) => void;
  /** The digest that a file must have, by clean path; undefined where it is not known. */
  readonly digestOf?: ((path: string) => Digest | undefined) | undefined;
}

/**
 * Stages the files of an uncompressed tar stream. Links, devices, duplicates and paths out of the target are refused.
 * Returns when the whole stream was read, so that a verifying source has seen its end.
 * When it throws, the source has been ended; what is wrong with the source itself is thrown before what that does to the archive.
 * @throws KitError LAYER_INVALID | UNSAFE_PATH | UNSAFE_ENTRY | PATH_EXISTS | DISK_FULL
 */
export async function extractTar(bytes: Bytes, staging: Staging, options: ExtractOptions): Promise<void> {
  const reader = new TarReader(bytes, options.layer);
  const base = options.base === undefined || options.base === '' ? '' : `${options.base}/`;
  try {
    for (let entry = await reader.next(); entry !== undefined; entry = await reader.next()) {
      const inside = insideOf(entry, options);
      if (inside !== undefined) await stage(inside, base, reader, staging, options);
    }
  } catch (error) {
    try {
      if (isKitError(error, 'LAYER_INVALID')) await reader.explain(error);
    } finally {
      await reader.close();
    }
    throw error;
  }
}

/** The entry by its path in the folder that is asked for; undefined outside it. */
function insideOf(entry: TarEntry, { inner, layer }: ExtractOptions): TarEntry | undefined {
  if (inner === undefined) return entry;
  const path = safePath(entry.path, layer);
  if (!path.startsWith(`${inner}/`)) return undefined;
  // a file whose name ends in a slash stays one
  return { ...entry, path: path.slice(inner.length + 1) + (entry.path.endsWith('/') ? '/' : '') };
}

async function stage(entry: TarEntry, base: string, reader: TarReader, staging: Staging, options: ExtractOptions): Promise<void> {
  const { layer, select } = options;
  const isExtracted = entry.type === 'file' || entry.type === 'directory';
  // what nobody asked for need not be fit to be written
  if (!isExtracted && (select === undefined || select(base + safePath(entry.path, layer), 0))) {
    throw new KitError('UNSAFE_ENTRY', `${layer}: ${JSON.stringify(entry.path)} is a ${entry.type}, which is never extracted`, {
      hint: 'nothing was written; pack files and directories only',
    });
  }
  if (!isExtracted) return;
  const path = safePath(entry.path, layer);
  if (entry.type === 'file' && (path === '' || /(?:^|\/)\.?$/.test(entry.path))) {
    throw new KitError('UNSAFE_PATH', `${layer}: ${JSON.stringify(entry.path)} is a file with the name of a directory`, {
      hint: 'nothing was written; the artifact is malformed',
    });
  }
  if (path === '') return;
  const target = base + path;
  if (entry.type === 'directory') {
    if (select === undefined) staging.addDirectory(target, entry.mode, layer);
    return;
  }
  options.seen?.(target);
  if (select !== undefined && !select(target, entry.size)) return;
  if (!staging.wants(target, layer)) return;
  await stageFile(target, entry, reader, staging, options);
}

async function stageFile(path: string, entry: TarEntry, reader: TarReader, staging: Staging, options: ExtractOptions): Promise<void> {
  const { layer } = options;
  const digest = options.digestOf?.(path);
  if (digest !== undefined) {
    const expected = { mediaType: 'application/octet-stream', digest, size: entry.size };
    await staging.addFile(path, entry.mode, verified(reader.content(), expected), layer);
  } else if (entry.size <= SMALL_FILE) staging.addSmallFile(path, entry.mode, await reader.contentAtOnce(), layer);
  else await staging.addFile(path, entry.mode, reader.content(), layer);
}
