import { posix } from 'node:path';
import { releaseChunk } from '../../chunk.ts';
import { isKitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import { isModelKitReference } from '../../kitfile/layer-path.ts';
import { type Kitfile, remoteEntries } from '../../kitfile/types.ts';
import { pickleKind } from '../../model-files/pytorch.ts';
import type { Digest } from '../../oci/digest.ts';
import { runAll } from '../../targets/run-all.ts';
import type { Kit } from '../kit.ts';
import { openLayerBytes, type Parts, type SourcedLayer } from '../artifact/layer-bytes.ts';
import { checkFileCount, type LayerFile, rawFile, walkLayer } from '../artifact/layer-files.ts';
import type { LoadedArtifact } from '../artifact/load-artifact.ts';
import type { Source } from '../artifact/open-location.ts';
import { destinationOf, shownPlace } from '../remote-content/entry.ts';

/** A file as a policy sees it. */
export interface PolicyFile {
  readonly path: string;
  readonly size?: number | undefined;
  /** Undefined for content that stays elsewhere. */
  readonly layer?: Digest;
  readonly digest?: Digest | undefined;
  /** It runs code when Python loads it. Only where the content was looked at. */
  readonly pickle?: boolean;
  /** Where the content is that the Kitfile refers to: it is not looked at. */
  readonly remote?: string;
}

export interface ListingOptions {
  /** False: headers of large archives in a registry may come by ranges, which no digest covers. */
  readonly verified: boolean;
  /** Look at the first bytes of each file. */
  readonly content: boolean;
}

/** A pickle within a zip archive is its first member, whose name stands at byte 30. */
const HEAD = 512;
const PYTORCH = new Set(['.bin', '.pt', '.pth', '.ckpt', '.pkl', '.pickle', '.joblib', '.dill', '.mar']);

/**
 * The files of an artifact's own layers, of archives they are read, of raw layers the manifest names them; and those that
 * `unpack --include-remote` fetches, as they were recorded. Other ModelKits that it takes datasets from are judged by themselves.
 */
export async function policyFiles(
  kit: Kit,
  source: Source,
  { layers, kitfile }: LoadedArtifact,
  { verified, content }: ListingOptions,
  call: CallOptions,
): Promise<PolicyFile[]> {
  const parts: Parts = source.isLocal ? 'sound' : verified ? 'never' : 'any';
  const files: PolicyFile[] = kitfile === undefined ? [] : remoteFiles(kitfile);
  checkFileCount(files.length, source.name);
  // what is read to be judged is no transfer
  const silent = call.signal === undefined ? {} : { signal: call.signal };
  await runAll(layers, kit.concurrency, call.signal, async (layer, signal) => {
    const item: SourcedLayer = { source, layer };
    const add = async (file: LayerFile, head: () => Promise<Uint8Array>): Promise<void> => {
      if (file.type !== 'file') return;
      checkFileCount(files.length + 1, source.name);
      const { path, size, digest } = file;
      files.push({ path, size, layer: file.layer, digest, ...(content && { pickle: isPickle(path, await head()) }) });
    };
    if (layer.encoding === 'raw') await add(rawFile(layer), async () => await headOfLayer(item, signal));
    else
      await walkLayer(item, parts, async ({ file, content: bytes }) => await add(file, async () => await headOf(bytes())), {
        ...silent,
        signal,
      });
  });
  return files.toSorted((one, other) => (one.path < other.path ? -1 : Number(one.path > other.path)));
}

function remoteFiles(kitfile: Kitfile): PolicyFile[] {
  return remoteEntries(kitfile)
    .filter(({ remotePath }) => !isModelKitReference(remotePath))
    .flatMap((entry): PolicyFile[] => {
      const remote = shownPlace(entry);
      const known = entry.remoteFiles?.map(({ path, size, digest }) => ({ path: destinationOf(entry, path), size, digest, remote }));
      // of what was packed without looking only the place is known
      return known ?? [{ path: posix.join(entry.path ?? '.', posix.basename(remote)), remote }];
    });
}

/** By its content, for whatever name it has; of a zip archive only where a pickle is inside, or one would be loaded from it by its name. */
function isPickle(path: string, head: Uint8Array): boolean {
  const kind = pickleKind(head);
  if (kind !== 'zip') return kind === 'pickle';
  const bytes = Buffer.from(head.buffer, head.byteOffset, head.byteLength);
  const first = bytes.byteLength < 30 ? '' : bytes.toString('latin1', 30, 30 + bytes.readUInt16LE(26));
  return PYTORCH.has(posix.extname(path).toLowerCase()) || /(?:^|\/)[^/]*\.pkl$/.test(first);
}

async function headOf(bytes: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const chunk of bytes) {
    parts.push(Buffer.from(chunk.subarray(0, HEAD - size)));
    size += parts.at(-1)?.byteLength ?? 0;
    releaseChunk(chunk);
    if (size >= HEAD) break;
  }
  return Buffer.concat(parts);
}

/** The first bytes of a raw layer: nothing else is fetched where the source can do that. */
async function headOfLayer({ source, layer }: SourcedLayer, signal: AbortSignal): Promise<Uint8Array> {
  const { descriptor, compression } = layer;
  if (compression !== 'none') return await headOf((await openLayerBytes({ source, layer }, 'never', { signal })).bytes);
  const end = Math.min(HEAD, descriptor.size);
  if (end === 0) return Buffer.alloc(0);
  try {
    return await headOf(await source.target.fetch(descriptor, { signal, range: { start: 0, end } }));
  } catch (error) {
    if (!isKitError(error, 'UNSUPPORTED')) throw error;
    return await headOf((await openLayerBytes({ source, layer }, 'never', { signal })).bytes);
  }
}
