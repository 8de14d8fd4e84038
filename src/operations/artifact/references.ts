import { KitError } from '../../errors.ts';
import type { Digest } from '../../oci/digest.ts';
import type { Location } from '../../oci/reference.ts';

/** Only one could be meant by the answer. @throws KitError REFERENCE_INVALID */
export function requireOneReference(location: Location, verb: string): void {
  if (location.type !== 'reference' || location.reference.tags.length <= 1) return;
  throw new KitError('REFERENCE_INVALID', `${location.reference.repository}:${location.reference.tags.join(',')}: more than one tag`, {
    hint: `${verb} them one at a time`,
  });
}

/** `repo:a,b` as one location for each tag; without tags the one that stands for them. */
export function eachTag(location: Location): Location[] {
  if (location.type !== 'reference') return [location];
  const { reference } = location;
  if (reference.digest !== undefined) return [location];
  const tags = reference.tags.length === 0 ? ['latest'] : reference.tags;
  return tags.map((tag) => ({ type: 'reference', reference: { ...reference, tags: [tag] } }));
}

/** The manifest itself, whatever a tag says by now. */
export function atDigest(location: Location, digest: Digest): Location {
  if (location.type !== 'reference') return { ...location, reference: digest };
  return { ...location, reference: { ...location.reference, tags: [], digest } };
}
