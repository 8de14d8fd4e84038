import type { CallOptions } from '../../events.ts';
import type { Digest } from '../../oci/digest.ts';
import type { Location } from '../../oci/reference.ts';
import type { ArtifactLayers } from '../artifact/artifact-layers.ts';
import { listFiles } from '../inspect/files.ts';
import type { Kit } from '../kit.ts';
import type { SourcedLayer } from '../artifact/layer-bytes.ts';
import { type ListedFile, referredFiles } from '../remote-content/listed.ts';

export interface FilesDiff {
  readonly added: readonly ListedFile[];
  readonly removed: readonly ListedFile[];
  /** Another size, mode, type or digest; or a layer holds one and the other stays elsewhere. */
  readonly changed: readonly { readonly a: ListedFile; readonly b: ListedFile }[];
  /** Paths of files of one size in layers that differ, or of which no digest was recorded: only their content would tell. */
  readonly undecided: readonly string[];
  /** Bytes that were read of the layers. */
  readonly read: number;
}

interface Side {
  readonly location: Location;
  readonly loaded: ArtifactLayers;
}

/** Files that are likely to lie in what is fetched for their headers. */
const HASHED = { digests: true, hashUpTo: 64 * 1024 };

/**
 * What differs between the files of two artifacts. Of layers that both have nothing is read; what stays elsewhere is compared by what was
 * recorded of it. Folders do not count.
 */
export async function diffFiles(kit: Kit, a: Side, b: Side, call: CallOptions): Promise<FilesDiff> {
  const inBoth = new Set(digestsOf(a).filter((digest) => digestsOf(b).includes(digest)));
  // a file that is a layer costs nothing, and may have another name
  const isCompared = ({ layer }: SourcedLayer): boolean => layer.encoding === 'raw' || !inBoth.has(layer.descriptor.digest);
  const list = async ({ location, loaded }: Side) =>
    await listFiles(kit, location, { name: loaded.name, layers: loaded.layers.filter(isCompared) }, HASHED, call);
  const [one, other] = await Promise.all([list(a), list(b)]);
  const read = [...one.layers, ...other.layers].reduce((sum, layer) => sum + layer.read, 0);
  const all = ({ loaded }: Side, files: readonly ListedFile[]): ListedFile[] => [
    ...files,
    ...referredFiles(loaded.elsewhere).map(({ file }) => file),
  ];
  return { ...compareFiles(all(a, one.files), all(b, other.files)), read };
}

function digestsOf({ loaded }: Side): Digest[] {
  return loaded.layers.map(({ layer }) => layer.descriptor.digest);
}

function compareFiles(a: readonly ListedFile[], b: readonly ListedFile[]): Omit<FilesDiff, 'read'> {
  const before = byPath(a);
  const added: ListedFile[] = [];
  const changed: { a: ListedFile; b: ListedFile }[] = [];
  const undecided: string[] = [];
  for (const [path, file] of byPath(b)) {
    const old = before.get(path);
    before.delete(path);
    if (old === undefined) added.push(file);
    else if (isOther(old, file)) changed.push({ a: old, b: file });
    else if (file.type === 'file' && file.size !== 0 && (old.digest === undefined || old.digest !== file.digest)) undecided.push(path);
  }
  return { added, removed: [...before.values()], changed, undecided };
}

/** In order of the names; of several with one name the last counts, as in an image. */
function byPath(files: readonly ListedFile[]): Map<string, ListedFile> {
  const map = new Map<string, ListedFile>();
  for (const file of files.toSorted((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0)))
    if (file.type !== 'directory') map.set(file.path, file);
  return map;
}

function isOther(a: ListedFile, b: ListedFile): boolean {
  if ((a.remote === undefined) !== (b.remote === undefined)) return true;
  if (a.type !== b.type || a.mode !== b.mode || (a.size !== b.size && a.size !== undefined && b.size !== undefined)) return true;
  const isSameKind = a.digest?.split(':')[0] === b.digest?.split(':')[0];
  return a.digest !== undefined && b.digest !== undefined && isSameKind && a.digest !== b.digest;
}
