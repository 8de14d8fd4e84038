import { isDeepStrictEqual } from 'node:util';
import type { CallOptions } from '../../events.ts';
import type { Tensor } from '../../model-files/tensor.ts';
import type { Digest } from '../../oci/digest.ts';
import { compareSides, type IndexesDiff } from './indexes.ts';
import type { DiffSide, DiffSides } from './sides.ts';
import type { Kit } from '../kit.ts';
import { inspectTensors, type ReadLayers, type TensorsResult } from '../tensors/tensors.ts';
import type { UnreadFile } from '../tensors/layer.ts';

/** A tensor, and the file that it is in. */
export interface PlacedTensor extends Tensor {
  readonly path: string;
}

export interface TensorsDiff {
  readonly a: { readonly reference: string; readonly digest: Digest };
  readonly b: { readonly reference: string; readonly digest: Digest };
  readonly added: readonly PlacedTensor[];
  readonly removed: readonly PlacedTensor[];
  /** Another type or shape. */
  readonly changed: readonly { readonly a: PlacedTensor; readonly b: PlacedTensor }[];
  /** The same type and shape in a file of another name. */
  readonly moved: readonly { readonly a: PlacedTensor; readonly b: PlacedTensor }[];
  /** Tensors in layers that both have: their content is the same, by digest. */
  readonly identical: number;
  /** Files whose layers differ, with the number of tensors whose headers are the same: whether their content is, headers do not tell. */
  readonly undecided: readonly { readonly path: string; readonly tensors: number }[];
  readonly unread: readonly UnreadFile[];
}

export interface DiffTensorsArguments extends DiffSides {
  /** True: weights that stay elsewhere are read there. */
  readonly includeRemote?: boolean;
}

/**
 * What differs between the tensors of two models, by their headers and the digests of their layers, or between those of the members of two
 * indexes. No tensor is read.
 */
export async function diffTensors(
  kit: Kit,
  { includeRemote = false, ...sides }: DiffTensorsArguments,
  call: CallOptions = {},
): Promise<TensorsDiff | IndexesDiff<TensorsDiff>> {
  // a layer that both have is read once
  const known: ReadLayers = new Map();
  const compare = async (a: DiffSide, b: DiffSide, own: CallOptions): Promise<TensorsDiff> => {
    const one = await inspectTensors(kit, a.location, a.lookup, own, { known, includeRemote });
    const other = await inspectTensors(kit, b.location, b.lookup, own, { known, includeRemote });
    return compareTensors(one, other);
  };
  return await compareSides(kit, sides, compare, call);
}

interface Located {
  readonly tensor: PlacedTensor;
  readonly layer: Digest;
}

export function compareTensors(a: TensorsResult, b: TensorsResult): TensorsDiff {
  const [before, after] = [locate(a), locate(b)];
  // a name that several files have, such as two quantizations, counts for each file
  const twice = new Set([...repeated(before), ...repeated(after)]);
  const keyOf = ({ tensor }: Located): string => (twice.has(tensor.name) ? `${tensor.path}\0${tensor.name}` : tensor.name);
  const left = new Map(before.map((located) => [keyOf(located), located]));
  const added: PlacedTensor[] = [];
  const pairs: (readonly [Located, Located])[] = [];
  for (const located of after) {
    const match = left.get(keyOf(located));
    left.delete(keyOf(located));
    if (match === undefined) added.push(located.tensor);
    else pairs.push([match, located]);
  }
  const isSame = ([x, y]: (typeof pairs)[number]): boolean =>
    x.tensor.dtype === y.tensor.dtype && isDeepStrictEqual(x.tensor.shape, y.tensor.shape);
  const same = pairs.filter(isSame);
  const toPair = ([x, y]: (typeof pairs)[number]): { a: PlacedTensor; b: PlacedTensor } => ({ a: x.tensor, b: y.tensor });
  const differing = same.filter(([x, y]) => x.layer !== y.layer || (x.tensor.path !== y.tensor.path && !isOneFile(a, x)));
  const byFile = Map.groupBy(differing, ([, y]) => y.tensor.path);
  return {
    a: { reference: a.reference, digest: a.digest },
    b: { reference: b.reference, digest: b.digest },
    added,
    removed: [...left.values()].map(({ tensor }) => tensor),
    changed: pairs.filter((pair) => !isSame(pair)).map(toPair),
    moved: same.filter(([x, y]) => x.tensor.path !== y.tensor.path).map(toPair),
    identical: same.length - differing.length,
    undecided: [...byFile].map(([path, members]) => ({ path, tensors: members.length })),
    unread: [...a.unread, ...b.unread],
  };
}

/** True when the layer of a tensor holds one file with tensors: then the same layer under another name holds the same tensor. */
function isOneFile({ files }: TensorsResult, { layer }: Located): boolean {
  return files.filter((file) => file.layer === layer && file.tensors.length > 0).length === 1;
}

function locate({ files }: TensorsResult): Located[] {
  return files.flatMap(({ path, layer, tensors }) => tensors.map((tensor) => ({ tensor: { ...tensor, path }, layer })));
}

function repeated(all: readonly Located[]): string[] {
  const counts = Map.groupBy(all, ({ tensor }) => tensor.name);
  return [...counts].filter(([, members]) => members.length > 1).map(([name]) => name);
}
