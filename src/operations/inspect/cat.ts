import { releaseChunk } from '../../chunk.ts';
import type { Bytes } from '../../blobs/source.ts';
import { verified } from '../../blobs/verified.ts';
import type { CallOptions } from '../../events.ts';
import type { Digest } from '../../oci/digest.ts';
import type { Location } from '../../oci/reference.ts';
import { loadLayers } from '../artifact/artifact-layers.ts';
import { type FoundFile, findFile } from './find-file.ts';
import type { Kit } from '../kit.ts';
import { openLayerBytes } from '../artifact/layer-bytes.ts';
import type { LayerFile } from '../artifact/layer-files.ts';
import type { Lookup } from '../artifact/open-location.ts';
import { admission } from '../policy/configured.ts';

export interface CatArguments {
  readonly source: Location;
  /** A path, or a pattern that one file matches. */
  readonly path: string;
  /** Default `local-first`. */
  readonly lookup?: Lookup;
  /** Read whole layers first, so that the file is covered by the digest of its layer. */
  readonly verify?: boolean;
  /** The digest that a file of a tar layer must have, by path, where something else gives one, such as a signed model manifest. */
  readonly digestOf?: (path: string) => Digest | undefined;
}

export interface CatResult {
  readonly file: LayerFile;
  /** False: the file came out of a part of a layer, which no digest covers. */
  readonly verified: boolean;
}

/** Up to this size nothing is handed out before it was checked. */
const HELD_BACK = 16 * 1024 * 1024;

/**
 * Hands the content of one file to `write`, reading as little as can be. Where a digest covers it, a file of up to 16 MiB is checked
 * before its first byte is handed out, and a larger one on the way: what was handed out is void when this throws.
 * @throws KitError PATH_NOT_FOUND | USAGE when several files match | UNSUPPORTED for what is no file | DIGEST_MISMATCH ...
 */
export async function cat(
  kit: Kit,
  args: CatArguments,
  write: (bytes: Uint8Array) => Promise<void>,
  call: CallOptions = {},
): Promise<CatResult> {
  const admit = await admission(kit, undefined);
  const loaded = await loadLayers(kit, args.source, args.lookup ?? 'local-first', call, { admit });
  const found = await findFile(kit, loaded, args, call);
  const { file, item } = found;
  if (found.content !== undefined) {
    await write(found.content);
    return { file, verified: found.isChecked };
  }
  if (item.layer.encoding === 'raw') {
    const opened = await openLayerBytes(item, 'never', call);
    await send(opened.bytes, write);
    opened.assertComplete();
    return { file, verified: true };
  }
  const { expected } = found;
  const bytes = contentOf(found, call);
  await send(expected === undefined ? bytes : verified(bytes, { mediaType: '', digest: expected, size: file.size ?? 0 }), write);
  return { file, verified: found.isChecked };
}

/** The content once more, of a file that was not kept when it was found. */
async function* contentOf({ item, file, start }: FoundFile, call: CallOptions): AsyncGenerator<Uint8Array> {
  const end = start + (file.size ?? 0);
  const { source, layer } = item;
  if (layer.compression === 'none') {
    if (end > start) yield* await source.target.fetch(layer.descriptor, { ...call, range: { start, end } });
    return;
  }
  const { bytes } = await openLayerBytes(item, 'never', call);
  let position = 0;
  for await (const chunk of bytes) {
    const part = chunk.subarray(Math.max(0, start - position), Math.max(0, end - position));
    position += chunk.byteLength;
    if (part.byteLength > 0) yield part;
    if (position >= end) return;
  }
}

/** Passes on what comes; of the first bytes nothing before there are too many to wait, or `bytes` have ended without an error. */
async function send(bytes: Bytes, write: (bytes: Uint8Array) => Promise<void>): Promise<void> {
  const held: Uint8Array[] = [];
  let size = 0;
  const flush = async (): Promise<void> => {
    for (const chunk of held.splice(0)) {
      await write(chunk);
      releaseChunk(chunk);
    }
  };
  for await (const chunk of bytes) {
    held.push(chunk);
    size += chunk.byteLength;
    if (size > HELD_BACK) await flush();
  }
  await flush();
}
