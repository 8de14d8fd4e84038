import { posix } from 'node:path';
import { unsafeReason } from '../../blobs/safe-path.ts';
import { cleanLayerPath, isModelKitReference } from '../../kitfile/layer-path.ts';
import type { RemoteEntry } from '../../kitfile/types.ts';
import { type Digest, isDigest } from '../../oci/digest.ts';
import type { LayerFile } from '../artifact/layer-files.ts';
import { shownPlace } from './entry.ts';

/** A name in an artifact: in a layer, or recorded of content that stays elsewhere. */
export interface ListedFile extends Omit<LayerFile, 'layer'> {
  /** Undefined for what stays elsewhere. */
  readonly layer: Digest | undefined;
  /** Where it stays. */
  readonly remote?: string | undefined;
}

/** A file that stays elsewhere, as the ModelKit records it. */
export interface ReferredRow {
  readonly entry: RemoteEntry;
  readonly file: ListedFile;
}

/** A server says nothing of permissions. */
const MODE = 0o644;

/**
 * The files of content that stays elsewhere, by the names that unpack would give them. What nobody looked up at pack, and another ModelKit,
 * is one row: a folder, where it may be more than one file. Nobody is asked.
 */
export function referredFiles(entries: readonly RemoteEntry[]): ReferredRow[] {
  return entries.flatMap((entry) => {
    const remote = shownPlace(entry);
    const rowOf = (below: string, known: Pick<ListedFile, 'type' | 'size' | 'digest'>): ReferredRow => {
      const path = posix.join(cleanLayerPath(entry.path), below || '.');
      const unsafe = unsafeReason(path);
      return {
        entry,
        file: { path: unsafe === undefined ? cleanLayerPath(path) : path, mode: MODE, layer: undefined, unsafe, remote, ...known },
      };
    };
    if (entry.remoteFiles !== undefined)
      return entry.remoteFiles.map(({ path, size, digest }) => rowOf(path, { type: 'file', size, digest }));
    const type = mayBeFolder(entry) ? 'directory' : 'file';
    const digest = type === 'file' && isDigest(entry.remoteHash) ? entry.remoteHash : undefined;
    return [rowOf('', { type, size: undefined, digest })];
  });
}

function mayBeFolder({ remotePath }: RemoteEntry): boolean {
  return remotePath.endsWith('/') || /^(?:hf|git\+https?):\/\//.test(remotePath) || isModelKitReference(remotePath);
}
