import { KitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import { isCommit } from '../../hub/commit.ts';
import type { RemoteFile } from '../../hub/remote-file.ts';
import { WebHttp } from '../../hub/web-http.ts';
import type { RemoteEntry } from '../../kitfile/types.ts';
import { type Digest, isDigest } from '../../oci/digest.ts';
import type { Kit } from '../kit.ts';
import { describeEntry, destinationOf, shownPlace } from './entry.ts';
import { openRemoteContent, type RemoteContent } from './remote-content.ts';

/** An entry that is wanted, or the files of it that are. */
export interface WantedEntry {
  readonly entry: RemoteEntry;
  /** By the path that a file will have. */
  readonly wants: (path: string) => boolean;
}

/** A file that stays elsewhere, and where it goes. */
export interface RemoteDownload {
  readonly entry: RemoteEntry;
  /** Safe. */
  readonly path: string;
  readonly file: RemoteFile;
}

/** Looked up: nothing of them was read. */
export interface RemoteFiles extends AsyncDisposable {
  readonly downloads: readonly RemoteDownload[];
}

/**
 * Looks up the files of entries that name no ModelKit, and checks them against what was recorded when the ModelKit was packed: content is
 * checked where it is read. @throws KitError SOURCE_CHANGED | UNSUPPORTED | UNSAFE_PATH | DENIED | NETWORK ...
 */
export async function openRemoteFiles(kit: Kit, entries: readonly WantedEntry[], call: CallOptions): Promise<RemoteFiles> {
  const http = new WebHttp(await kit.network());
  const opened: RemoteContent[] = [];
  const dispose = async (): Promise<void> => {
    for (const content of opened) await content.dispose();
    await http.close();
  };
  try {
    const downloads: RemoteDownload[] = [];
    for (const wanted of entries) {
      const content = await openRemoteContent(kit, http, wanted.entry, pinOf(wanted.entry), call);
      opened.push(content);
      downloads.push(...verifiable(wanted, content, call));
    }
    return { downloads, [Symbol.asyncDispose]: dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
}

/** The commit that was found at pack, or that the Kitfile gives. */
function pinOf({ remoteRevision, remoteHash }: RemoteEntry): string | undefined {
  return remoteRevision ?? (isCommit(remoteHash ?? '') ? remoteHash : undefined);
}

/** The files of an entry that are wanted, each with what it is checked by. @throws KitError SOURCE_CHANGED | UNSUPPORTED | UNSAFE_PATH */
function verifiable({ entry, wants }: WantedEntry, content: RemoteContent, call: CallOptions): RemoteDownload[] {
  const { remoteFiles } = entry;
  if (remoteFiles === undefined) return withoutRecord(entry, content, call).filter(({ path }) => wants(path));
  const there = new Map(content.files.map(({ path, file }) => [path, file]));
  return remoteFiles.flatMap(({ path, size, digest }) => {
    const destination = destinationOf(entry, path);
    if (!wants(destination)) return [];
    const file = there.get(path);
    const name = `${shownPlace(entry)}${path === '' ? '' : ` (${path})`}`;
    const now = file === undefined ? 'is not there any more' : `has ${file.size} bytes`;
    if (file?.size !== size) {
      throw new KitError(
        'SOURCE_CHANGED',
        `${describeEntry(entry)}: ${name} ${now}; it had ${size} bytes and ${digest} when it was packed`,
        {
          hint: 'ask its owner for that version, or unpack without `--include-remote`',
        },
      );
    }
    return [{ entry, path: destination, file: withDigest(file, digest, name) }];
  });
}

/** Of a ModelKit that another program packed, or that was packed without looking: only what the Kitfile says is known. */
function withoutRecord(entry: RemoteEntry, { files, revision }: RemoteContent, call: CallOptions): RemoteDownload[] {
  const hash = entry.remoteHash?.replace(/^"(.*)"$/s, '$1') ?? '';
  const [only, ...others] = files;
  const to = (path: string, file: RemoteFile): RemoteDownload => ({ entry, path: destinationOf(entry, path), file });
  if (hash !== '' && hash === revision) return files.map(({ path, file }) => to(path, file));
  if (only === undefined || others.length > 0 || hash === '')
    throw new KitError('UNSUPPORTED', `${describeEntry(entry)}: nothing in the ModelKit says what should be at ${shownPlace(entry)}`, {
      hint: 'pack it again: `kit pack` records size and SHA-256',
    });
  const { path, file } = only;
  if (isDigest(hash)) return [to(path, withDigest(file, hash, shownPlace(entry)))];
  if (hash !== file.etag && hash !== file.blobId) {
    const actual = file.etag ?? file.digest ?? file.blobId ?? 'unknown';
    throw new KitError('DIGEST_MISMATCH', `${describeEntry(entry)}: remoteHash is \`${hash}\`, but ${shownPlace(entry)} is \`${actual}\``, {
      hint: 'it was replaced since the ModelKit was packed; ask its owner for that version',
    });
  }
  if (hash === file.etag) {
    const message = `${describeEntry(entry)}: no SHA-256 was recorded for it: ${shownPlace(entry)} vouches for its ETag alone`;
    call.onEvent?.({ type: 'warning', code: 'REMOTE_UNVERIFIED', message });
  }
  return [to(path, file)];
}

/** @param path how messages name it */
function withDigest(file: RemoteFile, digest: Digest, path: string): RemoteFile {
  const { size, mode } = file;
  return {
    path,
    size,
    mode,
    digest,
    blobId: undefined,
    open: (range, call) => file.open(range, call),
    dropCopy: () => file.dropCopy?.() === true,
  };
}
