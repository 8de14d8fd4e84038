import type { CallOptions } from '../../events.ts';
import type { RemoteFile } from '../../hub/remote-file.ts';
import { VerifiedReader } from '../../hub/verified-reader.ts';
import type { RemoteEntry } from '../../kitfile/types.ts';
import { isModelFile } from '../../model-files/read-model-file.ts';
import type { Digest } from '../../oci/digest.ts';
import { runAll } from '../../targets/run-all.ts';
import type { Bytes } from '../../blob-source.ts';
import type { FetchOptions } from '../../targets/types.ts';
import type { Kit } from '../kit.ts';
import { shownPlace } from '../remote-content/entry.ts';
import { openRemoteFiles, type RemoteDownload } from '../remote-content/open-files.ts';
import { BlobReader, type ReadTally } from './blob.ts';
import { type LayerTensors, readFile } from './layer.ts';

/** The headers of a model's files where they stay; those that were recorded at pack are the ones that are read. @throws as openRemoteFiles */
export async function remoteTensors(
  kit: Kit,
  name: string,
  models: readonly RemoteEntry[],
  tally: ReadTally,
  call: CallOptions,
): Promise<LayerTensors> {
  const wanted = models.map((entry) => ({ entry, wants: isModelFile }));
  await using opened = await openRemoteFiles(kit, wanted, call);
  const found: LayerTensors[] = [];
  await runAll([...opened.downloads.entries()], kit.concurrency, call.signal, async ([index, download], signal) => {
    found[index] = await readRemote(name, download, tally, { ...call, signal });
  });
  return { files: found.flatMap(({ files }) => files), unread: found.flatMap(({ unread }) => unread) };
}

async function readRemote(name: string, { entry, path, file }: RemoteDownload, tally: ReadTally, call: CallOptions): Promise<LayerTensors> {
  const { size, digest } = file;
  const reason = `no SHA-256 was recorded of it: \`kit unpack ${name} --include-remote\` fetches it`;
  if (digest === undefined) return { files: [], unread: [{ path, layer: undefined, reason }] };
  const reader = new BlobReader(partsOf(file), { mediaType: '', digest, size }, tally, call);
  const { files, unread } = await readFile({ name: path, start: 0, size }, reader);
  return { files: files.map((one) => ({ ...one, remote: shownPlace(entry) })), unread };
}

/** A file from afar for a reader of blobs: as a whole it is checked, in parts it cannot be. */
function partsOf(file: RemoteFile): { fetch(blob: { readonly digest: Digest }, options?: FetchOptions): Promise<Bytes> } {
  return {
    fetch: async (_blob, { range, ...call } = {}) =>
      range === undefined ? new VerifiedReader(file).open({ start: 0, end: file.size }, call) : file.open(range, call),
  };
}
