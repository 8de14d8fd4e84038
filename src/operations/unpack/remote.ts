import { posix } from 'node:path';
import { isKitError, KitError } from '../../errors.ts';
import type { Bytes } from '../../blobs/source.ts';
import type { CallOptions } from '../../events.ts';
import type { RemoteFile } from '../../hub/remote-file.ts';
import { VerifiedReader } from '../../hub/verified-reader.ts';
import { WebHttp } from '../../hub/web-http.ts';
import { cleanLayerPath, isModelKitReference } from '../../kitfile/layer-path.ts';
import { type RemoteEntry, remoteEntries } from '../../kitfile/types.ts';
import { type Digest, isDigest } from '../../oci/digest.ts';
import { formatReference, parseReference } from '../../oci/reference.ts';
import type { Admit } from '../artifact/admission.ts';
import type { Kit } from '../kit.ts';
import { loadArtifact } from '../artifact/load-artifact.ts';
import { openSource } from '../artifact/open-location.ts';
import { openRemoteContent, type RemoteContent } from '../remote-content/remote-content.ts';
import { describeEntry, destinationOf, shownPlace, warnOfRemote } from '../remote-content/entry.ts';
import { limited, type SelectedLayer, type UnpackJob } from './layer.ts';

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

/** What is to be fetched besides the layers of the artifact. Dispose of it when all was. */
export interface RemoteDownloads extends AsyncDisposable {
  readonly downloads: readonly RemoteDownload[];
  /** Datasets of other ModelKits. */
  readonly layers: readonly SelectedLayer[];
}

/** Looks up everything that is wanted, and checks it against what was recorded when the ModelKit was packed. */
export async function openRemoteDownloads(
  kit: Kit,
  entries: readonly WantedEntry[],
  admit: Admit | undefined,
  call: CallOptions,
): Promise<RemoteDownloads> {
  const http = new WebHttp(await kit.network());
  const opened: RemoteContent[] = [];
  const dispose = async (): Promise<void> => {
    for (const content of opened) await content.dispose();
    await http.close();
  };
  try {
    const downloads: RemoteDownload[] = [];
    const layers: SelectedLayer[] = [];
    for (const { entry, wants } of entries) {
      if (isModelKitReference(entry.remotePath)) {
        layers.push(...(await datasetLayers(kit, entry, admit, call)));
        continue;
      }
      const content = await openRemoteContent(kit, http, entry, pinOf(entry), call);
      opened.push(content);
      downloads.push(...verifiable(entry, content, call).filter(({ path }) => wants(path)));
    }
    return { downloads, layers, [Symbol.asyncDispose]: dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
}

/** Brings one file into the staging folder; size and digest have been checked when it returns. */
export async function unpackRemote({ entry, path, file }: RemoteDownload, job: UnpackJob, call: CallOptions): Promise<void> {
  const { size, mode } = file;
  const id = `${entry.remotePath} ${path}`;
  call.onEvent?.({ type: 'blob', id, action: 'pull', label: `${describeEntry(entry)} ${path}`, total: size });
  job.seen(path);
  if (!job.staging.wants(path, shownPlace(entry))) {
    call.onEvent?.({ type: 'done', id, outcome: 'skipped' });
    return;
  }
  const bytes = new VerifiedReader(file).open({ start: 0, end: size }, call);
  try {
    await job.staging.addFile(path, mode, limited(counted(bytes, id, call), job, shownPlace(entry)), shownPlace(entry));
  } catch (error) {
    if (!isKitError(error, 'DIGEST_MISMATCH', 'SIZE_MISMATCH', 'SOURCE_CHANGED') || file.dropCopy?.() !== true) throw error;
    throw new KitError(error.code, error.message, { cause: error, hint: 'it was read from the cache of huggingface_hub: remove it there' });
  }
  call.onEvent?.({ type: 'done', id, outcome: 'copied' });
}

/** The commit that was found at pack, or that the Kitfile gives. */
function pinOf({ remoteRevision, remoteHash }: RemoteEntry): string | undefined {
  return remoteRevision ?? (/^[0-9a-f]{40}(?:[0-9a-f]{24})?$/.test(remoteHash ?? '') ? remoteHash : undefined);
}

/** The files of an entry, each with what it is checked by. @throws KitError SOURCE_CHANGED | UNSUPPORTED | UNSAFE_PATH */
function verifiable(entry: RemoteEntry, content: RemoteContent, call: CallOptions): RemoteDownload[] {
  const { remoteFiles } = entry;
  if (remoteFiles === undefined) return withoutRecord(entry, content, call);
  const there = new Map(content.files.map(({ path, file }) => [path, file]));
  return remoteFiles.map(({ path, size, digest }) => {
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
    return { entry, path: destinationOf(entry, path), file: withDigest(file, digest, name) };
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

async function* counted(bytes: Bytes, id: string, { onEvent }: CallOptions): AsyncGenerator<Uint8Array> {
  for await (const chunk of bytes) {
    onEvent?.({ type: 'bytes', id, delta: chunk.byteLength });
    yield chunk;
  }
}

/** The datasets of another ModelKit, or all of it where it has none, below the path of the entry. */
async function datasetLayers(kit: Kit, entry: RemoteEntry, admit: Admit | undefined, call: CallOptions): Promise<SelectedLayer[]> {
  const { remotePath, remoteRevision } = entry;
  const named = parseReference(remotePath);
  const reference = isDigest(remoteRevision) ? { ...named, tags: [], digest: remoteRevision } : named;
  const source = await openSource(kit, { type: 'reference', reference }, 'local-first', call);
  const artifact = await loadArtifact(source.target, source.reference, formatReference(reference), call);
  await admit?.(source, artifact.descriptor, call);
  if (artifact.kitfile !== undefined)
    warnOfRemote(remoteEntries(artifact.kitfile), `, nor of this one, which has it through ${remotePath}`, call);
  const datasets = artifact.layers.filter(({ role }) => role === 'dataset');
  const below = (path: string): string => posix.join(cleanLayerPath(entry.path), path);
  return (datasets.length > 0 ? datasets : artifact.layers).map((layer) => ({
    source,
    layer: { ...layer, role: 'dataset', path: below(layer.path), target: below(layer.target) },
  }));
}
