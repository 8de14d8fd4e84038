import { concatSource, type BlobPart } from '../../blobs/concat.ts';
import { digestOfSource } from '../../blobs/digest-source.ts';
import { type BlobSource, type ByteRange, bytesSource } from '../../blob-source.ts';
import { encodeTarHeader, BLOCK, paddingFor, tarHeaderSize } from '../../blobs/tar-header.ts';
import { isKitError } from '../../errors.ts';
import type { CallOptions, KitEvent } from '../../events.ts';
import type { PlannedLayer } from '../../formats/types.ts';
import type { RemoteFile } from '../../hub/remote-file.ts';
import { VerifiedReader } from '../../hub/verified-reader.ts';
import { type Digest, digestOf } from '../../oci/digest.ts';
import type { Target } from '../../targets/types.ts';
import { type ContentRecord, layerKey } from '../import-source/record.ts';
import type { ImportEntry } from '../import-source/tree.ts';
import type { SavedLayer } from '../pack/pack-layer.ts';

/** Up to this size a layer of unknown digest is kept in memory: a target that wants the digest first would have it fetched twice. */
const SMALL_BYTES = 8 * 1024 * 1024;

export type ImportLayer = PlannedLayer<ImportEntry>;

interface Placed {
  readonly digest: Digest;
  readonly size: number;
  readonly existed: boolean;
}

/** Bytes of the layer, as it travels. */
export function layerSize({ encoding, files }: ImportLayer): number {
  if (encoding === 'raw') return files[0]?.size ?? 0;
  return files.reduce((sum, entry) => sum + tarHeaderSize(entry) + entry.size + paddingFor(entry.size), 2 * BLOCK);
}

/**
 * Brings one layer from afar into the target. Where its digest is known, from git LFS or an earlier run, nothing is fetched that the
 * target has. A copy on this machine that turns out to be damaged is not used again.
 */
export async function importLayer(target: Target, layer: ImportLayer, record: ContentRecord, call: CallOptions): Promise<SavedLayer> {
  const { entry, path, mediaType, annotations } = layer;
  const id = `${entry.role}:${entry.index}:${path}`;
  call.onEvent?.({ type: 'blob', id, action: 'pull', label: `${entry.role} ${path}`, total: layerSize(layer) });
  const counter = new Counter(id, call);
  for (;;) {
    try {
      const { digest, size, existed } = await place(target, layer, record, counter, call);
      call.onEvent?.({ type: 'done', id, outcome: existed ? 'exists' : 'copied' });
      return { role: entry.role, index: entry.index, path, descriptor: { mediaType, digest, size, annotations }, diffId: digest, existed };
    } catch (error) {
      const isDamaged = isKitError(error, 'DIGEST_MISMATCH', 'SIZE_MISMATCH', 'SOURCE_CHANGED', 'PATH_UNREADABLE');
      if (!isDamaged || !dropCopies(layer)) throw error;
      call.onEvent?.({ type: 'note', message: `${path}: the cached copy is damaged, it is downloaded: ${error.message}` });
    }
  }
}

function dropCopies({ files }: ImportLayer): boolean {
  // all of them, not the first
  return files.map(({ file }) => file?.dropCopy?.() === true).includes(true);
}

async function place(target: Target, layer: ImportLayer, record: ContentRecord, counter: Counter, call: CallOptions): Promise<Placed> {
  const { mediaType } = layer;
  const [only] = layer.files;
  const file = layer.encoding === 'raw' ? only?.file : undefined;
  if (file?.digest !== undefined)
    return await push(target, layer, { digest: file.digest, size: file.size }, rawSource(target, file, counter, call), call);
  const source = counter.counted(file === undefined ? tarSource(layer, call) : readerSource(file, call));
  const key = layerKey(layer);
  const known = await record.find(key);
  if (known !== undefined) {
    try {
      return await push(target, layer, known, source, call);
    } catch (error) {
      if (!isKitError(error, 'DIGEST_MISMATCH', 'SIZE_MISMATCH')) throw error;
      // it was made of other bytes, or a copy is damaged, which shows below
      await record.drop(key);
    }
  }
  const placed =
    source.size <= SMALL_BYTES ? await pushSmall(target, layer, source, call) : await pushUnhashed(target, mediaType, source, call);
  await record.add(key, placed);
  return placed;
}

async function push(
  target: Target,
  { mediaType }: ImportLayer,
  blob: { readonly digest: Digest; readonly size: number },
  source: BlobSource,
  call: CallOptions,
): Promise<Placed> {
  const descriptor = { mediaType, digest: blob.digest, size: blob.size };
  const existed = await target.has(descriptor, call);
  if (!existed) await target.push(descriptor, source, call);
  return { ...blob, existed };
}

async function pushSmall(target: Target, layer: ImportLayer, source: BlobSource, call: CallOptions): Promise<Placed> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of source.open(undefined, call.signal)) chunks.push(chunk);
  const bytes = Buffer.concat(chunks);
  return await push(target, layer, { digest: digestOf(bytes), size: bytes.byteLength }, bytesSource(bytes), call);
}

async function pushUnhashed(
  target: Target,
  mediaType: string,
  source: BlobSource & { readonly size: number },
  call: CallOptions,
): Promise<Placed> {
  if (target.can.pushUnhashed === undefined) {
    const blob = { mediaType, ...(await digestOfSource(source, call.signal)) };
    const existed = await target.has(blob, call);
    if (!existed) await target.push(blob, source, call);
    return { digest: blob.digest, size: blob.size, existed };
  }
  let existed = false;
  const onEvent = (event: KitEvent): void => {
    if (event.type === 'done') existed = event.outcome === 'exists';
    else call.onEvent?.(event);
  };
  const { digest, size } = await target.can.pushUnhashed(mediaType, source, { ...call, onEvent });
  return { digest, size, existed };
}

/** A target on this machine hashes what it takes; what goes to a registry is checked here, before the registry does. */
function rawSource(target: Target, file: RemoteFile, counter: Counter, call: CallOptions): BlobSource {
  const isLocal = target.can.localPath !== undefined;
  return counter.counted(isLocal ? plainSource(file, call) : readerSource(file, call));
}

function plainSource(file: RemoteFile, call: CallOptions): BlobSource & { readonly size: number } {
  return { size: file.size, open: (range = { start: 0, end: file.size }, signal) => file.open(range, { ...call, signal }) };
}

function readerSource(file: RemoteFile, call: CallOptions): BlobSource & { readonly size: number } {
  const reader = new VerifiedReader(file);
  return { size: file.size, open: (range = { start: 0, end: file.size }, signal) => reader.open(range, { ...call, signal }) };
}

const ZEROS = new Uint8Array(2 * BLOCK);

/** The tar that packing a downloaded copy would give. */
function tarSource({ files }: ImportLayer, call: CallOptions): BlobSource & { readonly size: number } {
  const parts = files.flatMap((entry): BlobPart[] => {
    const header = bytesPart(tarHeaderSize(entry), () => encodeTarHeader(entry));
    if (entry.file === undefined || entry.size === 0) return [header];
    const reader = readerSource(entry.file, call);
    const padding = paddingFor(entry.size);
    return [
      header,
      { size: entry.size, open: (range, signal) => reader.open(range, signal) },
      bytesPart(padding, () => ZEROS.subarray(0, padding)),
    ];
  });
  return concatSource([...parts, bytesPart(ZEROS.byteLength, () => ZEROS)]);
}

function bytesPart(size: number, make: () => Uint8Array): BlobPart {
  return { size, open: (range) => bytesSource(make()).open(range) };
}

/** Reports the bytes of a layer once each, however often they are read. */
class Counter {
  readonly #id: string;
  readonly #call: CallOptions;
  #position = 0;

  constructor(id: string, call: CallOptions) {
    this.#id = id;
    this.#call = call;
  }

  counted<T extends BlobSource>(source: T): T {
    const moveTo = (next: number): void => {
      if (next !== this.#position) this.#call.onEvent?.({ type: 'bytes', id: this.#id, delta: next - this.#position });
      this.#position = next;
    };
    async function* open(range?: ByteRange, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
      let position = range?.start ?? 0;
      moveTo(position);
      for await (const chunk of source.open(range, signal)) {
        position += chunk.byteLength;
        moveTo(position);
        yield chunk;
      }
    }
    return { ...source, open };
  }
}
