import { KitError } from '../../errors.ts';
import type { Annotations, Descriptor } from '../../oci/descriptor.ts';
import { ANNOTATION } from '../../oci/media-types.ts';
import { formatReference, parseReference, type Reference } from '../../oci/reference.ts';

/** What containerd, Docker and nerdctl call an artifact in an archive: its full name, where `ref.name` has the tag alone. */
const CONTAINERD_NAME = 'io.containerd.image.name';

/** The annotations that give an archive's entry its name: skopeo, podman and oras read the first, containerd the other. */
export function nameAnnotations(reference: Reference): Annotations {
  const name = formatReference(reference);
  // containerd knows no names without a registry
  return { [ANNOTATION.refName]: name, ...(reference.registry !== undefined && { [CONTAINERD_NAME]: name }) };
}

/** How an archive names an entry: in full, by a tag alone, or not at all. */
export type EntryName =
  | { readonly type: 'full'; readonly reference: Reference }
  | { readonly type: 'tag'; readonly tag: string }
  | { readonly type: 'none' };

export function hasName({ annotations }: Descriptor): boolean {
  return (annotations?.[CONTAINERD_NAME] || annotations?.[ANNOTATION.refName] || '') !== '';
}

/** @throws KitError REFERENCE_INVALID when it has a name that is none, unless it will get another (`isReplaced`) */
export function entryName({ annotations }: Descriptor, archive: string, isReplaced: boolean): EntryName {
  const name = annotations?.[CONTAINERD_NAME] || annotations?.[ANNOTATION.refName];
  if (name === undefined || name === '') return { type: 'none' };
  // `v1` is a repository in a reference, but here a tag: skopeo writes what it was given
  if (/^\w[\w.-]{0,127}$/.test(name)) return { type: 'tag', tag: name };
  try {
    const reference = parseReference(name);
    const isComplete = reference.tags.length > 0 || reference.digest !== undefined;
    return { type: 'full', reference: isComplete ? reference : { ...reference, tags: ['latest'] } };
  } catch (cause) {
    if (isReplaced) return { type: 'none' };
    throw new KitError('REFERENCE_INVALID', `${archive} names an artifact \`${name}\`, which is no reference`, {
      hint: '`--name REPOSITORY` gives what is in it another name',
      cause,
    });
  }
}
