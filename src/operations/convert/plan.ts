import { KitError } from '../../errors.ts';
import type { PackFormatName } from '../../formats/registry.ts';
import type { ArtifactLayer, Encoding } from '../../formats/types.ts';
import { cleanLayerPath } from '../../kitfile/layer-path.ts';
import { type Kitfile, kitfileEntries, type KitfileEntry } from '../../kitfile/types.ts';
import { compareBytes } from '../../oci/json.ts';
import type { SourcedLayer } from '../artifact/layer-bytes.ts';

/** What becomes of the layers of an entry: `keep` its one archive, `raw` a layer for each file, `tar` one archive of all. */
export type Framing = 'keep' | 'raw' | 'tar';

/** An entry of a Kitfile with the layers that it is in now. */
export interface EntryLayers {
  readonly entry: KitfileEntry;
  /** Clean. */
  readonly path: string;
  readonly items: readonly SourcedLayer[];
}

export interface FramedEntry extends EntryLayers {
  readonly framing: Framing;
}

/** The layers by the entries that they belong to, in the order of the Kitfile, and those that belong to none. */
export function layersByEntry(
  kitfile: Kitfile,
  items: readonly SourcedLayer[],
): { readonly entries: EntryLayers[]; readonly rest: SourcedLayer[] } {
  const all = kitfileEntries(kitfile).map((entry) => ({ entry, path: cleanLayerPath(entry.path), items: [] as SourcedLayer[] }));
  const rest: SourcedLayer[] = [];
  for (const item of items) {
    const { role, within, path } = item.layer;
    const wanted = cleanLayerPath(within ?? path);
    const own = all.find((one) => isOfRole(one.entry, role) && one.path === wanted && (within !== undefined || one.items.length === 0));
    if (own === undefined) rest.push(item);
    else own.items.push(item);
  }
  return { entries: all.filter((one) => one.items.length > 0).map((one) => ({ ...one, items: inOrder(one.items) })), rest };
}

// of several weights without a Kitfile one is the model, and the others its parts
function isOfRole({ role }: KitfileEntry, wanted: ArtifactLayer['role']): boolean {
  return role === wanted || (role === 'modelpart' && wanted === 'model');
}

/** Files in the order in which a walk finds them, so that an archive of them is the one that `pack` makes. */
function inOrder(items: readonly SourcedLayer[]): readonly SourcedLayer[] {
  if (items.some(({ layer }) => layer.encoding !== 'raw')) return items;
  return items.toSorted((a, b) => compareWalked(cleanLayerPath(a.layer.target), cleanLayerPath(b.layer.target)));
}

function compareWalked(a: string, b: string): number {
  const [left, right] = [a.split('/'), b.split('/')];
  const at = left.findIndex((name, index) => name !== right[index]);
  return compareBytes(left[at] ?? '', right[at] ?? '');
}

/** The Kitfile with an entry for each layer that had none: what is there is not lost for want of a name. */
export function withEntriesFor(kitfile: Kitfile, items: readonly SourcedLayer[]): Kitfile {
  const paths = (...roles: readonly ArtifactLayer['role'][]): { path: string }[] =>
    items.filter(({ layer }) => roles.includes(layer.role)).map(({ layer }) => ({ path: layer.path }));
  const parts = paths('model', 'modelpart');
  const [code, datasets, docs] = [paths('code'), paths('dataset'), paths('docs')];
  const prompts = paths('prompt');
  return {
    ...kitfile,
    ...(parts.length > 0 && { model: { ...kitfile.model, parts: [...(kitfile.model?.parts ?? []), ...parts] } }),
    ...(code.length > 0 && { code: [...(kitfile.code ?? []), ...code] }),
    ...(datasets.length > 0 && { datasets: [...(kitfile.datasets ?? []), ...datasets] }),
    ...(docs.length > 0 && { docs: [...(kitfile.docs ?? []), ...docs] }),
    ...(prompts.length > 0 && { prompts: [...(kitfile.prompts ?? []), ...prompts] }),
  };
}

interface Takes {
  readonly archives: boolean;
  /** Files as they are: one that is an entry by itself, or any number below the path of one. */
  readonly files: 'entry' | 'any';
}

const TAKES: Readonly<Record<PackFormatName, Takes>> = {
  modelkit: { archives: true, files: 'entry' },
  modelpack: { archives: true, files: 'any' },
  'docker-model': { archives: false, files: 'any' },
  omlmd: { archives: false, files: 'any' },
};

/**
 * How the format takes an entry: as it is where it can, else in the way that most readers of the format know.
 * @throws KitError UNSUPPORTED when the format has no layers of the encoding that is wanted
 */
export function frame(one: EntryLayers, to: PackFormatName, wanted: Encoding | undefined): Framing {
  const takes = TAKES[to];
  if (wanted === 'tar' && !takes.archives) {
    throw new KitError('UNSUPPORTED', `${to} reads files as they are: no tar layers`, { hint: 'leave out `--layer-format`' });
  }
  if (one.entry.role === 'mcpserver') return 'raw';
  if (takes.archives && wanted !== 'raw' && isWholeArchive(one, wanted)) return 'keep';
  if (takes.files === 'any') return wanted === 'tar' ? 'tar' : 'raw';
  return wanted !== 'tar' && isOneFile(one) ? 'raw' : 'tar';
}

function isWholeArchive({ items }: EntryLayers, wanted: Encoding | undefined): boolean {
  const [only, ...others] = items;
  if (only === undefined || others.length > 0) return false;
  const { encoding, target, inner, compression } = only.layer;
  return encoding === 'tar' && target === '' && inner === undefined && (wanted === undefined || compression === 'none');
}

function isOneFile({ items, path }: EntryLayers): boolean {
  const [only, ...others] = items;
  return only !== undefined && others.length === 0 && only.layer.encoding === 'raw' && cleanLayerPath(only.layer.target) === path;
}
