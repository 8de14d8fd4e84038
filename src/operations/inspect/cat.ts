import { releaseChunk } from '../../chunk.ts';
import type { Bytes } from '../../blob-source.ts';
import { verified } from '../../blobs/verified.ts';
import { KitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import { VerifiedReader } from '../../hub/verified-reader.ts';
import type { Digest } from '../../oci/digest.ts';
import type { Location } from '../../oci/reference.ts';
import { loadLayers } from '../artifact/artifact-layers.ts';
import { type FoundFile, findFile } from './find-file.ts';
import type { Kit } from '../kit.ts';
import { openLayerBytes } from '../artifact/layer-bytes.ts';
import type { Lookup } from '../artifact/open-location.ts';
import { admission } from '../policy/configured.ts';
import { shownPlace } from '../remote-content/entry.ts';
import type { ListedFile, ReferredRow } from '../remote-content/listed.ts';

export interface CatArguments {
  readonly source: Location;
  /** A path, or a pattern that one file matches. */
  readonly path: string;
  /** Default `local-first`. */
  readonly lookup?: Lookup;
  /** Read whole layers first, so that the file is covered by the digest of its layer. */
  readonly verify?: boolean;
  /** True: a file that stays elsewhere is read where it is. */
  readonly includeRemote?: boolean;
  /** The digest that a file of a tar layer must have, by path, where something else gives one, such as a signed model manifest. */
  readonly digestOf?: (path: string) => Digest | undefined;
}

export interface CatResult {
  readonly file: ListedFile;
  /** False: the file came out of a part of a layer, which no digest covers, or no digest was recorded of what stays elsewhere. */
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
  // a signature covers what the digests of the layers cover
  const found = await findFile(kit, loaded, admit === undefined ? args : { ...args, verify: true }, call);
  if ('entry' in found) return await catReferred(kit, found, { ...args, name: loaded.name }, write, call);
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

/** Of a file that stays elsewhere. The last of its bytes is handed out when all were checked. */
async function catReferred(
  kit: Kit,
  { entry, file }: ReferredRow,
  { includeRemote, name }: Pick<CatArguments, 'includeRemote'> & { readonly name: string },
  write: (bytes: Uint8Array) => Promise<void>,
  call: CallOptions,
): Promise<CatResult> {
  if (includeRemote !== true)
    throw new KitError('PATH_NOT_FOUND', `${file.path} is not in ${name}: it stays at ${shownPlace(entry)}`, {
      hint: '`--include-remote` reads it there',
    });
  const { openRemoteFiles } = await import('../remote-content/open-files.ts');
  await using opened = await openRemoteFiles(kit, [{ entry, wants: (path) => path === file.path }], call);
  const [download] = opened.downloads;
  if (download === undefined)
    throw new KitError('PATH_NOT_FOUND', `${shownPlace(entry)} has no file that would be ${file.path} of ${name}`, {
      hint: `\`kit files ${name}\` lists what was recorded`,
    });
  const { size, digest, blobId } = download.file;
  await send(new VerifiedReader(download.file).open({ start: 0, end: size }, call), write);
  return { file: { ...file, size, digest }, verified: digest !== undefined || blobId !== undefined };
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
