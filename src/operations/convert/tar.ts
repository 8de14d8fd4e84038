import { posix } from 'node:path';
import type { BlobSource } from '../../blob-source.ts';
import { BLOCK, encodeTarHeader, paddingFor } from '../../blobs/tar-header.ts';
import { releaseChunk } from '../../chunk.ts';
import type { CallOptions } from '../../events.ts';
import type { PackFile } from '../../formats/types.ts';
import { type Member, membersOf, streamSource } from './members.ts';
import type { SourcedLayer } from '../artifact/layer-bytes.ts';

/** How entries are written into an archive. */
export interface TarShape {
  /** The folder that everything is put into; '' for none. */
  readonly root: string;
  readonly mode: (member: Pick<PackFile, 'type' | 'mode'>) => number;
  /** Owner; that of KitOps unless told. */
  readonly uid?: number;
}

/** As KitOps packs: names as they are, with the modes that the files have. */
export const PLAIN_TAR: TarShape = { root: '', mode: ({ mode }) => mode };

const FOLDER = { type: 'directory', mode: 0o755 } as const;
const ZEROS = new Uint8Array(2 * BLOCK);

/** What the layers hold as one uncompressed archive, in one stream: each file comes after the folders that it is in. */
export function tarSource(items: readonly SourcedLayer[], shape: TarShape, call: CallOptions): BlobSource {
  return streamSource(() => archive(items, shape, call));
}

async function* archive(items: readonly SourcedLayer[], shape: TarShape, call: CallOptions): AsyncGenerator<Uint8Array> {
  const folders = new Set<string>(['.', '/']);
  const header = ({ path, type, mode }: Pick<PackFile, 'path' | 'type' | 'mode'>, size: number): Uint8Array => {
    const { uid } = shape;
    return encodeTarHeader({ path, type, mode: shape.mode({ type, mode }), size, ...(uid !== undefined && { uid }) });
  };
  for (const item of items) {
    for await (const member of membersOf(item, call)) {
      const path = posix.join(shape.root, member.path);
      for (const folder of missingFolders(posix.dirname(path), folders)) yield header({ path: folder, ...FOLDER }, 0);
      if (member.type === 'directory') {
        if (folders.has(path)) continue;
        folders.add(path);
        yield header({ ...member, path }, 0);
        continue;
      }
      const size = member.size ?? (await sizeOf(item, call));
      yield header({ ...member, path }, size);
      yield* member.content();
      const padding = paddingFor(size);
      if (padding > 0) yield ZEROS.subarray(0, padding);
    }
  }
  yield ZEROS;
}

/** Those of `folder` and the folders around it that were not written yet, the outermost first; they count as written now. */
function missingFolders(folder: string, written: Set<string>): string[] {
  const missing: string[] = [];
  for (let one = folder; !written.has(one); one = posix.dirname(one)) {
    written.add(one);
    missing.unshift(one);
  }
  return missing;
}

/** A compressed file has to be read to know its size, which an archive says before the content. */
async function sizeOf(item: SourcedLayer, { signal }: CallOptions): Promise<number> {
  let size = 0;
  for await (const member of membersOf(item, signal === undefined ? {} : { signal })) size += await count(member);
  return size;
}

async function count(member: Member): Promise<number> {
  let size = 0;
  for await (const chunk of member.content()) {
    size += chunk.byteLength;
    releaseChunk(chunk);
  }
  return size;
}
