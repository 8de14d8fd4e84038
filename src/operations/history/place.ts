import { resolve } from 'node:path';
import { KitError } from '../../errors.ts';
import { type Digest, isDigest } from '../../oci/digest.ts';
import { formatLocation, type Location, repositoryName } from '../../oci/reference.ts';
import { openLayout } from '../../targets/layout.ts';
import type { Target } from '../../targets/types.ts';
import type { Kit } from '../kit.ts';
import { openRemote } from '../artifact/open-location.ts';
import { requireOneReference } from '../artifact/references.ts';

/** A repository whose tags have a history: in a registry, in local storage, or an image layout. */
export interface RepositoryPlace {
  readonly target: Target;
  /** As records name it: `ghcr.io/team/model`; empty for a layout, which has no name. */
  readonly repository: string;
  /** Names the place on this machine: the same repository may be in a registry and in local storage. */
  readonly key: string;
  readonly isLocal: boolean;
  /** What names a manifest of it. */
  readonly at: (digest: Digest) => Location;
}

/** The key of a repository in a registry or in local storage. */
export function keyOf({ name }: Pick<Target, 'name'>, where: 'registry' | 'store'): string {
  return `${where} ${name}`;
}

/** A tag there. */
export interface TagPlace extends RepositoryPlace {
  readonly tag: string;
  /** As the user would write it. */
  readonly name: string;
}

/**
 * A name with a registry is in that registry, one without (or with `local`) in local storage.
 * @throws KitError UNSUPPORTED for an archive
 */
export async function openRepository(kit: Kit, location: Location, local: boolean, create = false): Promise<RepositoryPlace> {
  switch (location.type) {
    case 'archive':
      throw new KitError('UNSUPPORTED', `${formatLocation(location)}: the tags of an archive have no history`, {
        hint: '`kit load` it, or use an image layout (`oci:DIR`)',
      });
    case 'layout':
      return {
        target: await openLayout(location.path, { create }),
        repository: '',
        key: `layout ${resolve(location.path)}`,
        isLocal: true,
        at: (digest) => ({ ...location, reference: digest }),
      };
    case 'reference': {
      const { reference } = location;
      const isLocal = local || reference.registry === undefined;
      const target = isLocal ? (await kit.store()).repository(repositoryName(reference)) : await openRemote(kit, reference);
      const at = (digest: Digest): Location => ({ type: 'reference', reference: { ...reference, tags: [], digest } });
      return { target, repository: target.name, key: keyOf(target, isLocal ? 'store' : 'registry'), isLocal, at };
    }
  }
}

/** @throws KitError REFERENCE_INVALID unless the location names one tag and no digest */
export async function openTag(
  kit: Kit,
  location: Location,
  { local, verb, create }: { readonly local: boolean; readonly verb: string; readonly create?: boolean },
): Promise<TagPlace> {
  requireOneReference(location, verb);
  const name = formatLocation(location);
  const tag = tagOf(location);
  if (tag === undefined)
    throw new KitError('REFERENCE_INVALID', `${name}: a tag is needed`, { hint: `write ${name.replace(/@.*$/, '')}:TAG` });
  return { ...(await openRepository(kit, location, local, create)), tag, name };
}

/** The tag of a location without a digest. */
export function tagOf(location: Location): string | undefined {
  if (location.type === 'reference') return location.reference.digest === undefined ? location.reference.tags[0] : undefined;
  return isDigest(location.reference) ? undefined : location.reference;
}
