import { posix } from 'node:path';
import { safePath } from '../../blobs/safe-path.ts';
import type { BlobSource, ByteRange, Bytes } from '../../blob-source.ts';
import { type TarEntry, TarReader } from '../../blobs/tar-reader.ts';
import { isKitError, KitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import type { PackFile } from '../../formats/types.ts';
import { type LayerBytes, openLayerBytes, type SourcedLayer } from '../artifact/layer-bytes.ts';

/** A file or folder of a layer while the layer goes by: its content is to be read before the next one is asked for. */
export interface Member extends Omit<PackFile, 'size'> {
  /** Bytes; undefined for a compressed file that is a layer by itself. */
  readonly size: number | undefined;
  content(): Bytes;
}

/**
 * What a layer holds, by the paths that unpack would write, in one stream. The layer was what its digest and diffId say only when this
 * has come to its end. @throws KitError UNSAFE_PATH | UNSAFE_ENTRY | LAYER_INVALID | DIGEST_MISMATCH | SIZE_MISMATCH | BLOB_NOT_FOUND
 */
export async function* membersOf(item: SourcedLayer, call: CallOptions): AsyncGenerator<Member, void, undefined> {
  const { layer } = item;
  const { digest, size } = layer.descriptor;
  const opened = await openLayerBytes(item, 'never', call);
  if (layer.encoding === 'tar') {
    yield* archiveMembers(opened, item);
    return;
  }
  const path = safePath(layer.target, `layer ${digest}`);
  const isPlain = layer.compression === 'none';
  yield { path, type: 'file', mode: layer.mode, size: isPlain ? size : undefined, content: () => opened.bytes };
  opened.assertComplete();
}

async function* archiveMembers(opened: LayerBytes, { layer }: SourcedLayer): AsyncGenerator<Member, void, undefined> {
  const { digest } = layer.descriptor;
  const reader = new TarReader(opened.bytes, digest);
  const place = placeOf(layer);
  const seen = new Set<string>();
  try {
    for (let entry = await reader.next(); entry !== undefined; entry = await reader.next()) {
      const path = pathOf(entry, place);
      if (path === undefined) continue;
      if (seen.has(path)) throw unsafe(digest, path, 'is there twice');
      seen.add(path);
      const { mode, size } = entry;
      yield { path, type: entry.type as PackFile['type'], mode: mode & 0o7777, size, content: () => reader.content() };
    }
    opened.assertComplete();
  } catch (error) {
    if (isKitError(error, 'LAYER_INVALID')) await reader.explain(error);
    throw error;
  } finally {
    await reader.close();
  }
}

interface Place {
  readonly digest: string;
  readonly target: string;
  readonly inner: string;
}

function placeOf({ descriptor, target, inner = '' }: SourcedLayer['layer']): Place {
  const where = `layer ${descriptor.digest}`;
  return { digest: descriptor.digest, target: target === '' ? '' : safePath(target, where), inner };
}

/** Undefined for what unpack would not write: the folder that everything is in, and what lies outside the one that is asked for. */
function pathOf(entry: TarEntry, { digest, target, inner }: Place): string | undefined {
  const path = safePath(entry.path, digest);
  if (inner !== '' && !path.startsWith(`${inner}/`)) return undefined;
  if (entry.type !== 'file' && entry.type !== 'directory') throw unsafe(digest, entry.path, `is a ${entry.type}, which is never extracted`);
  const within = inner === '' ? path : path.slice(inner.length + 1);
  if (entry.type === 'file' && (within === '' || /(?:^|\/)\.?$/.test(entry.path)))
    throw unsafe(digest, entry.path, 'is a file with the name of a directory');
  return within === '' ? undefined : posix.join(target, within);
}

function unsafe(digest: string, path: string, why: string): KitError {
  return new KitError('UNSAFE_ENTRY', `${digest}: ${JSON.stringify(path)} ${why}`, {
    hint: 'nothing was converted; pack files and directories only',
  });
}

/**
 * The content of one member as a blob. The first reader gets it as the layer goes by. Any later one (a broken upload begins anew) reads the layer
 * again, to its end, so that what it gets is covered by the layer's digest too; the size is not given, since what is continued in
 * the middle would be covered by none.
 */
export function memberSource(sourced: SourcedLayer, member: Member, call: CallOptions): BlobSource {
  let isFirst = true;
  const open = (): Bytes => {
    if (!isFirst) return again(sourced, member.path, call);
    isFirst = false;
    return member.content();
  };
  return streamSource(open);
}

async function* again(sourced: SourcedLayer, path: string, { signal }: CallOptions): AsyncGenerator<Uint8Array> {
  for await (const member of membersOf(sourced, { ...(signal && { signal }) })) {
    if (member.type === 'file' && member.path === path) yield* member.content();
  }
}

/** A blob that can only be read from its beginning. */
export function streamSource(open: (signal?: AbortSignal) => Bytes): BlobSource {
  return {
    size: undefined,
    open: (range, signal) => (range === undefined ? open(signal) : within(open(signal), range)),
  };
}

// read on past the end of the range: what was asked for is right only if all of it is
async function* within(bytes: Bytes, { start, end }: ByteRange): AsyncGenerator<Uint8Array> {
  let position = 0;
  for await (const chunk of bytes) {
    const part = chunk.subarray(Math.max(0, start - position), Math.max(0, end - position));
    position += chunk.byteLength;
    if (part.byteLength > 0) yield part;
  }
}
