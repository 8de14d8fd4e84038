import { posix } from 'node:path';
import { unsafeReason } from '../../blobs/safe-path.ts';
import { type TarEntry, TarReader } from '../../blobs/tar-reader.ts';
import { isKitError, KitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import type { ArtifactLayer } from '../../formats/types.ts';
import { cleanLayerPath } from '../../kitfile/layer-path.ts';
import type { Digest } from '../../oci/digest.ts';
import { type LayerBytes, openLayerBytes, type Parts, type SourcedLayer } from './layer-bytes.ts';
import { matchesPath, mayMatchBelow } from './path-pattern.ts';

/** A name in a layer. Nothing about it was checked for safety: `unpack` does that. */
export interface LayerFile {
  /** Where unpack would write it; as the archive has it where that is no place to write to. For a whiteout what it takes away. */
  readonly path: string;
  /** In layers of images: `whiteout` takes away what layers below have, `opaque` all that they have in a folder. */
  readonly type: TarEntry['type'] | 'whiteout' | 'opaque';
  /** Bytes; undefined for a compressed file that is a layer by itself. */
  readonly size: number | undefined;
  /** Permission bits. */
  readonly mode: number;
  /** The layer that it is in. */
  readonly layer: Digest;
  /** Of the content, where the file is a layer by itself or was read and hashed. */
  readonly digest: Digest | undefined;
  /** Why unpack refuses the path. */
  readonly unsafe?: string | undefined;
}

/** An entry of a tar layer with what its reader can do: get at its content before the next entry is read. */
export interface WalkedEntry {
  readonly file: LayerFile;
  /** Where the content begins in the uncompressed layer. */
  readonly start: number;
  /** All of the layer goes by, also content that nobody asks for. */
  readonly isWhole: boolean;
  readonly content: () => AsyncIterable<Uint8Array>;
}

/** How much of a layer was fetched to see its names, and whether a digest covers that. */
export interface WalkedLayer {
  readonly fetched: number;
  readonly isChecked: boolean;
}

/**
 * Reads the headers of a tar layer, and contents only where `visit` asks for them. What `visit` learns holds only when this returns: until
 * then the digest is not known. @throws KitError LAYER_INVALID | DIGEST_MISMATCH | SIZE_MISMATCH | BLOB_NOT_FOUND ...
 */
export async function walkLayer(
  item: SourcedLayer,
  parts: Parts,
  visit: (entry: WalkedEntry) => Promise<void> | void,
  call: CallOptions,
): Promise<WalkedLayer> {
  const { digest } = item.layer.descriptor;
  const opened = await openLayerBytes(item, parts, call);
  const reader = new TarReader(opened.bytes, digest);
  try {
    await visitEntries(reader, item.layer, ({ file, start }) =>
      visit({ file, start, isWhole: opened.isWhole, content: () => reader.content() }),
    );
  } catch (error) {
    try {
      if (isKitError(error, 'LAYER_INVALID')) await reader.explain(error);
    } finally {
      await reader.close();
    }
    throw error;
  }
  opened.assertComplete();
  return summary(opened);
}

function summary({ fetched, isChecked }: LayerBytes): WalkedLayer {
  return { fetched, isChecked };
}

async function visitEntries(
  reader: TarReader,
  layer: ArtifactLayer,
  visit: (entry: Pick<WalkedEntry, 'file' | 'start'>) => Promise<void> | void,
): Promise<void> {
  for (let entry = await reader.next(); entry !== undefined; entry = await reader.next()) {
    const file = toFile(entry, layer);
    if (file === undefined) continue;
    await visit({ file, start: reader.contentStart });
  }
}

const WHITEOUT = '.wh.';
const OPAQUE = '.wh..wh..opq';

/** Undefined for the folder that everything is in. */
function toFile(entry: TarEntry, layer: ArtifactLayer): LayerFile | undefined {
  const inside = layer.inner === undefined ? entry.path : insideOf(entry.path, layer.inner);
  const path = inside === undefined ? '.' : writtenPath(layer.target, inside);
  if (path === '.') return undefined;
  const { digest } = layer.descriptor;
  const common = { mode: entry.mode & 0o7777, size: entry.size, layer: digest, digest: undefined, unsafe: unsafeReason(entry.path) };
  const name = posix.basename(path);
  // aufs' own records begin so too, and mean nothing to others
  if (layer.role !== 'file' || !name.startsWith(WHITEOUT)) return { path, type: entry.type, ...common };
  if (name === OPAQUE) return { path: posix.dirname(path), type: 'opaque', ...common };
  return { path: posix.join(posix.dirname(path), name.slice(WHITEOUT.length)), type: 'whiteout', ...common };
}

/** Undefined for what lies outside the folder. */
function insideOf(path: string, folder: string): string | undefined {
  const clean = cleanLayerPath(path);
  return clean.startsWith(`${folder}/`) ? clean.slice(folder.length + 1) : undefined;
}

function writtenPath(target: string, path: string): string {
  if (path !== '' && unsafeReason(path) !== undefined) return path;
  return cleanLayerPath(target === '' ? path : `${target}/${path}`);
}

/** The file that a raw layer is. */
export function rawFile({ descriptor, compression, mode, target }: ArtifactLayer): LayerFile {
  const isPlain = compression === 'none';
  const unsafe = unsafeReason(target);
  return {
    path: unsafe === undefined ? cleanLayerPath(target) : target,
    type: 'file',
    size: isPlain ? descriptor.size : undefined,
    mode,
    layer: descriptor.digest,
    digest: isPlain ? descriptor.digest : undefined,
    unsafe,
  };
}

/** False when none of the patterns can match a file of the layer. */
export function mayHoldFile(layer: ArtifactLayer, patterns: readonly string[]): boolean {
  if (layer.encoding === 'raw') return patterns.some((pattern) => matchesPath(pattern, rawFile(layer).path));
  // the layers of an image, and archives that no format knows, may hold anything
  return layer.role === 'file' || patterns.some((pattern) => mayMatchBelow(pattern, layer.path));
}

/** What an artifact that has another as its base takes from it. */
export function modelLayers({ layers }: { readonly layers: readonly ArtifactLayer[] }): readonly ArtifactLayer[] {
  return layers.filter(({ role }) => role === 'model' || role === 'modelpart');
}

/** Names of all layers of a run are kept: a hostile archive could have any number of them. */
const MAX_FILES = 2_000_000;

/** Counts files. @throws KitError LIMIT_EXCEEDED */
export function checkFileCount(count: number, name: string): void {
  if (count > MAX_FILES)
    throw new KitError('LIMIT_EXCEEDED', `${name} has more than ${MAX_FILES} files`, { hint: 'name some of them by a pattern' });
}
