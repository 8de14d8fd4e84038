import { compress, type Compression } from '../../blobs/compress.ts';
import { digested } from '../../blobs/digested.ts';
import type { LayerInputs } from '../../blobs/fingerprint.ts';
import type { IgnoreRules } from '../../blobs/ignore.ts';
import { rawLayer, tarLayer } from '../../blobs/layer.ts';
import { isWithin } from '../../blobs/safe-path.ts';
import type { BlobSource, ByteRange, Bytes } from '../../blob-source.ts';
import { type Exclude, type PackContext, type WalkEntry, walkLayer } from '../../blobs/walk.ts';
import { isKitError, KitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import type { Encoding, EntryFiles, PackFile, PackFormat, PlannedLayer } from '../../formats/types.ts';
import { cleanLayerPath } from '../../kitfile/layer-path.ts';
import type { KitfileEntry } from '../../kitfile/types.ts';
import type { Annotations } from '../../oci/descriptor.ts';
import type { Digest } from '../../oci/digest.ts';
import { StreamDigester } from '../../oci/stream-digester.ts';

/** A layer that could be packed: nothing of it has been read yet. */
export interface LayerPlan {
  readonly entry: KitfileEntry;
  /** The clean path of the entry, or of the one file of it that the layer holds. */
  readonly path: string;
  readonly mediaType: string;
  readonly annotations: Annotations;
  readonly compression: Compression;
  /** The uncompressed bytes. */
  readonly content: BlobSource & { readonly size: number };
  /** What the bytes follow from. */
  readonly inputs: LayerInputs;
  /** When the files were looked at, or before: ms since 1970. */
  readonly lookedAt: number;
  readonly fileCount: number;
}

export interface PlanLayersOptions {
  readonly format: PackFormat;
  /** Undefined: what the format does by itself. */
  readonly layerFormat: Encoding | undefined;
  readonly compression: Compression;
  readonly ignore: IgnoreRules;
  /** Clean paths of layers that a base ModelKit holds: left out here. */
  readonly basePaths: readonly string[];
}

/**
 * Sizes and order of all layers, from `stat` alone.
 * @throws KitError PATH_NOT_FOUND | PATH_UNSUPPORTED | PATH_UNREADABLE | UNSUPPORTED (by the format)
 */
export function planLayers(
  context: PackContext,
  entries: readonly KitfileEntry[],
  options: PlanLayersOptions,
  call: CallOptions,
): LayerPlan[] {
  const { format, layerFormat, compression, ignore } = options;
  const warn = (code: string, message: string): void => call.onEvent?.({ type: 'warning', code, message });
  const paths = [...entries.map((entry) => cleanLayerPath(entry.path)), ...options.basePaths];
  const lookedAt = Date.now();
  const found = entries.map((entry): EntryFiles<WalkEntry> => {
    const path = cleanLayerPath(entry.path);
    if (ignore.ignores(path)) warn('LAYER_IGNORED', `${entry.role} layer path ${path} is ignored by .kitignore`);
    const files = filesOf(context, entry, path, excludeFor(path, paths, ignore));
    warnOfEmpty({ entry, path, files }, warn);
    return { entry, path, files };
  });
  return format.plan(found, { encoding: layerFormat, compression, warn }).map((layer) => toPlan(layer, lookedAt));
}

/** A path that is wrong, or a download that failed, shows as a layer without content. */
export function warnOfEmpty({ entry, path, files }: EntryFiles<PackFile>, warn: (code: string, message: string) => void): void {
  const layer = `${entry.role} layer with path ${path}`;
  if (!files.some(({ type }) => type === 'file')) warn('LAYER_EMPTY', `no files detected in ${layer}`);
  else if (files.every(({ size }) => size === 0)) warn('LAYER_EMPTY', `${layer} holds no bytes: its files are empty`);
}

function toPlan({ files, encoding, ...layer }: PlannedLayer<WalkEntry>, lookedAt: number): LayerPlan {
  const [only] = files;
  return {
    ...layer,
    content: encoding === 'raw' && only !== undefined ? rawLayer(only) : tarLayer(files),
    inputs: { encoding, compression: layer.compression, entries: files },
    lookedAt,
    fileCount: files.filter(({ type }) => type === 'file').length,
  };
}

// the walk names paths below the directory: only here it is known which line of the Kitfile asked for them
function filesOf(context: PackContext, entry: KitfileEntry, path: string, exclude: Exclude): WalkEntry[] {
  try {
    return walkLayer(context, path, exclude);
  } catch (error) {
    if (!isKitError(error, 'PATH_NOT_FOUND', 'PATH_UNREADABLE')) throw error;
    throw new KitError(error.code, `${entry.role} layer \`${path}\` in ${context.directory}: ${error.message}`, {
      cause: error,
      hint:
        error.code === 'PATH_NOT_FOUND' ? 'correct the path in the Kitfile, or put there what it names' : 'check its owner and permissions',
    });
  }
}

// files of another layer inside this one belong there; a layer around this one does not matter
function excludeFor(path: string, paths: readonly string[], ignore: IgnoreRules): Exclude {
  const others = new Set(paths.filter((other) => other !== path && isWithin(other, path)));
  const ignored = ignore.hasExceptions ? 'skip' : 'prune';
  return (file) => (others.has(file) ? 'prune' : ignore.ignores(file) ? ignored : 'keep');
}

/**
 * The bytes of the layer as they travel. Of a compressed layer each pass to the end gives the digest of the uncompressed bytes
 * to `onDiffId`.
 */
export function layerSource({ compression, content }: LayerPlan, onDiffId?: (diffId: Digest) => void): BlobSource {
  if (compression === 'none') return content;
  return {
    size: undefined,
    open: (range, signal) => {
      const plain = content.open(undefined, signal);
      const bytes = compress(onDiffId === undefined ? plain : withDigest(plain, content.size, onDiffId), compression);
      return range === undefined ? bytes : within(bytes, range);
    },
  };
}

async function* withDigest(bytes: Bytes, size: number, onDigest: (digest: Digest) => void): AsyncGenerator<Uint8Array> {
  const digester = new StreamDigester('sha256', size);
  try {
    yield* digested(bytes, digester);
    onDigest(await digester.digest());
  } finally {
    digester.abandon();
  }
}

// where compressed bytes are can only be told by making all before them
async function* within(bytes: Bytes, { start, end }: ByteRange): AsyncGenerator<Uint8Array> {
  let position = 0;
  for await (const chunk of bytes) {
    const part = chunk.subarray(Math.max(0, start - position), Math.max(0, end - position));
    position += chunk.byteLength;
    if (part.byteLength > 0) yield part;
    if (position >= end) return;
  }
}
