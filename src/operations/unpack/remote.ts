import { posix } from 'node:path';
import { isKitError, KitError } from '../../errors.ts';
import type { Bytes } from '../../blob-source.ts';
import type { CallOptions } from '../../events.ts';
import { VerifiedReader } from '../../hub/verified-reader.ts';
import { cleanLayerPath, isModelKitReference } from '../../kitfile/layer-path.ts';
import { type RemoteEntry, remoteEntries } from '../../kitfile/types.ts';
import { isDigest } from '../../oci/digest.ts';
import { formatReference, parseReference } from '../../oci/reference.ts';
import type { Admit } from '../artifact/admission.ts';
import type { Kit } from '../kit.ts';
import { loadArtifact } from '../artifact/load-artifact.ts';
import { openSource } from '../artifact/open-location.ts';
import { describeEntry, shownPlace, warnOfRemote } from '../remote-content/entry.ts';
import { openRemoteFiles, type RemoteDownload, type WantedEntry } from '../remote-content/open-files.ts';
import { limited, type SelectedLayer, type UnpackJob } from './layer.ts';

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
  const layers: SelectedLayer[] = [];
  for (const { entry } of entries)
    if (isModelKitReference(entry.remotePath)) layers.push(...(await datasetLayers(kit, entry, admit, call)));
  const files = entries.filter(({ entry }) => !isModelKitReference(entry.remotePath));
  return Object.assign(await openRemoteFiles(kit, files, call), { layers });
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
