import { isKitError, KitError } from '../errors.ts';
import { safePath } from './safe-path.ts';
import type { Bytes } from './source.ts';
import type { Staging } from './staging.ts';
import { type TarEntry, TarReader } from './tar-reader.ts';

/** Files up to this size are written in one call. */
const SMALL_FILE = 256 * 1024;

export interface ExtractOptions {
  /** The layer's digest, for messages. */
  readonly layer: string;
  /** Folder that the archive's paths are relative to; clean, '' for the target. */
  readonly base?: string;
  /** Decides by clean path whether a file is wanted. */
  readonly select?: (path: string) => boolean;
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
      await stage(entry, base, reader, staging, options);
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

async function stage(entry: TarEntry, base: string, reader: TarReader, staging: Staging, options: ExtractOptions): Promise<void> {
  const { layer } = options;
  if (entry.type !== 'file' && entry.type !== 'directory') {
    throw new KitError('UNSAFE_ENTRY', `${layer}: ${JSON.stringify(entry.path)} is a ${entry.type}, which is never extracted`, {
      hint: 'nothing was written; pack files and directories only',
    });
  }
  const path = safePath(entry.path, layer);
  if (entry.type === 'file' && (path === '' || /(?:^|\/)\.?$/.test(entry.path))) {
    throw new KitError('UNSAFE_PATH', `${layer}: ${JSON.stringify(entry.path)} is a file with the name of a directory`, {
      hint: 'nothing was written; the artifact is malformed',
    });
  }
  if (path === '') return;
  const target = base + path;
  if (entry.type === 'directory') {
    if (options.select === undefined) staging.addDirectory(target, entry.mode, layer);
    return;
  }
  if (options.select !== undefined && !options.select(target)) return;
  if (!staging.wants(target, layer)) return;
  if (entry.size <= SMALL_FILE) staging.addSmallFile(target, entry.mode, await reader.contentAtOnce(), layer);
  else await staging.addFile(target, entry.mode, reader.content(), layer);
}
