import { KitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import { describeVariants, labelText, parseModelIndex, type Variant } from '../../formats/model-index.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import { formatLocation, type Location } from '../../oci/reference.ts';
import { isIndexType } from '../../oci/media-types.ts';
import { fetchMetadata } from '../../targets/manifest-bytes.ts';
import type { Kit } from '../kit.ts';
import { type Lookup, openSource, type Source } from '../artifact/open-location.ts';
import { atDigest } from '../artifact/references.ts';

/** The artifact of an index that labels choose. */
export interface ChosenVariant extends Variant {
  /** By its digest: whatever happens to the index, this is what was chosen. */
  readonly location: Location;
  readonly source: Source;
  readonly index: Descriptor;
}

/**
 * The one artifact of an index that has all of these labels. Without labels, the only one that it has.
 * @throws KitError REFERENCE_NOT_FOUND when none has them, UNSUPPORTED when several do or it is no index
 */
export async function chooseVariant(
  kit: Kit,
  location: Location,
  lookup: Lookup,
  labels: Readonly<Record<string, string>>,
  call: CallOptions = {},
): Promise<ChosenVariant> {
  const source = await openSource(kit, location, lookup, call);
  const index = await source.target.resolve(source.reference, call);
  if (!isIndexType(index.mediaType)) {
    throw new KitError('UNSUPPORTED', `${source.name} is no index: there is nothing to choose from by label`, {
      hint: 'leave `--label` out',
    });
  }
  const { variants } = parseModelIndex(await fetchMetadata(source.target, index, call), source.name);
  const variant = select(variants, Object.entries(labels), source.name);
  const chosenFrom = { digest: index.digest, name: formatLocation(location) };
  return { ...variant, location: { ...atDigest(location, variant.descriptor.digest), chosenFrom }, source, index };
}

function select(variants: readonly Variant[], wanted: readonly (readonly [string, string])[], name: string): Variant {
  if (variants.length === 0) {
    throw new KitError('REFERENCE_NOT_FOUND', `${name} is an index that lists no artifact`, {
      hint: '`kit index add INDEX MODELKIT` puts one into an index of local storage',
    });
  }
  const having = variants.filter(({ labels }) => wanted.every(([key, value]) => labels.has(key) && labelText(labels.get(key)) === value));
  // other tools list one artifact twice: whichever entry is meant, it is that
  const matching = [...new Map(having.map((variant) => [variant.descriptor.digest, variant])).values()];
  const [only, ...others] = matching;
  const asked = wanted.map((pair) => pair.join('=')).join(', ');
  if (only === undefined) {
    throw new KitError('REFERENCE_NOT_FOUND', `no artifact of ${name} has ${asked}; there is:${describeVariants(variants)}`, {
      hint: 'every label that is given must be there, with just that value',
    });
  }
  if (others.length === 0) return only;
  throw new KitError('UNSUPPORTED', `${matching.length} artifacts of ${name} have ${asked}:${describeVariants(matching)}`, {
    hint: 'add labels until one is left, or name it by its digest: REPOSITORY@DIGEST',
  });
}
