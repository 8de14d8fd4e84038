import type { CallOptions } from '../../events.ts';
import { KitError } from '../../errors.ts';
import { parseModelIndex, type Variant } from '../../formats/model-index.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import { type Index, parseIndex } from '../../oci/manifest.ts';
import { isIndexType } from '../../oci/media-types.ts';
import type { Location } from '../../oci/reference.ts';
import { fetchMetadata } from '../../targets/manifest-bytes.ts';
import { onlyArtifact } from '../artifact/load-artifact.ts';
import { type Lookup, openSource } from '../artifact/open-location.ts';
import type { Kit } from '../kit.ts';
import { chooseVariant } from '../model-index/variant.ts';

export interface DiffSide {
  readonly location: Location;
  readonly lookup: Lookup;
}

/** Two things to compare: artifacts, or indexes of them. */
export interface DiffSides {
  readonly a: DiffSide;
  readonly b: DiffSide;
  /** Of each side that is an index the one artifact that has all of these. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
}

/** A side after a first look. */
export interface OpenedSide extends DiffSide {
  readonly name: string;
  readonly descriptor: Descriptor;
  readonly index: OpenedIndex | undefined;
}

export interface OpenedIndex {
  readonly content: Index;
  readonly isOfModelKits: boolean;
  readonly members: readonly Variant[];
  /** The one artifact that it stands for. */
  readonly only: Descriptor | undefined;
}

export async function openSide(kit: Kit, { location, lookup }: DiffSide, call: CallOptions): Promise<OpenedSide> {
  const { target, reference, name } = await openSource(kit, location, lookup, call);
  const descriptor = await target.resolve(reference, call);
  const opened = { location, lookup, name, descriptor };
  if (!isIndexType(descriptor.mediaType)) return { ...opened, index: undefined };
  const bytes = await fetchMetadata(target, descriptor, call);
  const content = parseIndex(bytes, name);
  const { isOfModelKits, variants } = parseModelIndex(bytes, name);
  // an index in an index is known by its digest alone
  const indexes = content.manifests.filter(({ mediaType }) => isIndexType(mediaType));
  const nested = indexes.map((one): Variant => ({ descriptor: one, labels: new Map(), annotations: {}, tag: undefined, size: undefined }));
  return { ...opened, index: { content, isOfModelKits, members: [...variants, ...nested], only: onlyArtifact(content) } };
}

/** The artifacts that the labels choose: of the sides that are indexes. @throws KitError UNSUPPORTED where none is, and as chooseVariant */
export async function chooseSides(
  kit: Kit,
  [a, b]: readonly [OpenedSide, OpenedSide],
  labels: Readonly<Record<string, string>>,
  call: CallOptions,
): Promise<readonly [DiffSide, DiffSide]> {
  if (a.index === undefined && b.index === undefined)
    throw new KitError('UNSUPPORTED', `neither ${a.name} nor ${b.name} is an index: there is nothing to choose from by label`, {
      hint: 'leave `--label` out',
    });
  const choose = async (side: OpenedSide): Promise<DiffSide> => {
    if (side.index === undefined) return side;
    return { location: (await chooseVariant(kit, side.location, side.lookup, labels, call)).location, lookup: side.lookup };
  };
  return [await choose(a), await choose(b)];
}
