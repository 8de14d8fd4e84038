import { isKitError, KitError } from '../../errors.ts';
import { formatLocation, type Location, type Reference, referenceTarget, repositoryName } from '../../oci/reference.ts';
import { isDigest } from '../../oci/digest.ts';
import { openArchive } from '../../targets/archive.ts';
import { openLayout } from '../../targets/layout.ts';
import type { ReadTarget, Target } from '../../targets/types.ts';
import type { CallOptions } from '../../events.ts';
import type { Kit } from '../kit.ts';
import { atDigest } from './references.ts';

/** A location opened for reading. */
export interface Source {
  readonly target: ReadTarget;
  /** Tag or digest to resolve in it. */
  readonly reference: string;
  /** As the user would write it. */
  readonly name: string;
  readonly isLocal: boolean;
  /** The index that it was chosen from by labels, by its name: what covers that covers this, where it lists it. */
  readonly index?: { readonly name: string; readonly open: () => Promise<Source> };
}

/** Where to look for a name that may be in the store and in a registry. */
export type Lookup = 'local' | 'remote' | 'local-first';

/** @throws KitError REFERENCE_NOT_FOUND when a local lookup finds nothing, REFERENCE_INVALID without a registry */
export async function openSource(kit: Kit, location: Location, lookup: Lookup, call: CallOptions = {}): Promise<Source> {
  const { chosenFrom, ...place } = location;
  const source = await openPlace(kit, place, lookup, call);
  if (chosenFrom === undefined) return source;
  const { digest, name } = chosenFrom;
  // of names either may be in local storage without the other
  const open = async (): Promise<Source> => {
    const index = place.type === 'reference' ? await openPlace(kit, atDigest(place, digest), lookup, call) : source;
    return { ...index, reference: digest, name };
  };
  return { ...source, index: { name, open } };
}

async function openPlace(kit: Kit, location: Location, lookup: Lookup, call: CallOptions): Promise<Source> {
  const name = formatLocation(location);
  if (location.type !== 'reference') {
    const target = location.type === 'layout' ? await openLayout(location.path) : await openArchive(location.path);
    return { target, reference: location.reference ?? (await target.resolveOnly()).digest, name, isLocal: true };
  }
  const { reference } = location;
  const wanted = referenceTarget(reference);
  if (lookup === 'remote') return { target: await openRemoteSource(kit, reference), reference: wanted, name, isLocal: false };
  const local = (await kit.store()).repository(repositoryName(reference));
  try {
    await local.resolve(wanted, call);
    return { target: local, reference: wanted, name, isLocal: true };
  } catch (error) {
    if (!isKitError(error, 'REFERENCE_NOT_FOUND')) throw error;
    if (lookup === 'local-first' && reference.registry !== undefined)
      return { target: await openRemoteSource(kit, reference), reference: wanted, name, isLocal: false };
    throw notFound(name, reference, error);
  }
}

function notFound(name: string, reference: Reference, cause: unknown): KitError {
  const hint =
    reference.registry === undefined
      ? ((isKitError(cause) ? cause.hint : undefined) ?? '`kit list` shows what is in local storage')
      : `\`kit pull ${name}\` fetches it; \`--remote\` looks in the registry`;
  return new KitError('REFERENCE_NOT_FOUND', `${name} is not in local storage`, { cause, hint });
}

/** A repository in a registry, for what changes it. @throws KitError REFERENCE_INVALID when the reference names none */
export async function openRemote(kit: Kit, reference: Reference): Promise<Target> {
  const registry = registryOf(reference);
  const { remoteRepository } = await import('../../targets/remote.ts');
  return remoteRepository(await kit.registry(), registry, reference.repository);
}

/** The same to read from: from its mirrors too, where such are configured. @throws KitError REFERENCE_INVALID | DENIED */
export async function openRemoteSource(kit: Kit, reference: Reference): Promise<ReadTarget> {
  const registry = registryOf(reference);
  const { RemoteRepository } = await import('../../targets/remote.ts');
  return new RemoteRepository((await kit.registry()).source(registry, reference.repository, referenceTarget(reference)));
}

function registryOf({ registry, repository, digest }: Reference): string {
  if (registry === undefined) {
    throw new KitError('REFERENCE_INVALID', `${repository || (digest ?? '')}: a registry is required`, {
      hint: `write REGISTRY/${repository || 'REPOSITORY'}:TAG, for example \`localhost:5000/${repository || 'model'}:latest\``,
    });
  }
  return registry;
}

/** A location opened for writing: `close` makes an archive final, disposing without it throws the archive away. */
export interface Destination extends AsyncDisposable {
  readonly target: Target;
  readonly tags: readonly string[];
  readonly name: string;
  readonly registry: string | undefined;
  close(): Promise<void>;
}

const nothing = async (): Promise<void> => {};
const nothingToClose = { close: nothing, [Symbol.asyncDispose]: nothing };

/** A name without a tag or digest is one with the tag `latest`. */
export function withDefaultTag(location: Location): Location {
  if (location.type !== 'reference' || location.reference.tags.length > 0 || location.reference.digest !== undefined) return location;
  return { type: 'reference', reference: { ...location.reference, tags: ['latest'] } };
}

/** Opens where content goes: `remote` sends references to their registry, otherwise into the store. */
export async function openDestination(kit: Kit, location: Location, where: 'local' | 'remote'): Promise<Destination> {
  const name = formatLocation(location);
  switch (location.type) {
    case 'layout': {
      const target = await openLayout(location.path, { create: true });
      return { target, tags: tagsOf(location.reference, name), name, registry: undefined, ...nothingToClose };
    }
    case 'archive': {
      const target = await openArchive(location.path, { create: true });
      return {
        target,
        tags: tagsOf(location.reference, name),
        name,
        registry: undefined,
        close: () => target.commit(),
        [Symbol.asyncDispose]: () => target.discard(),
      };
    }
    case 'reference': {
      const { reference } = location;
      if (reference.digest !== undefined)
        throw new KitError('REFERENCE_INVALID', `${name}: a digest cannot be chosen for what is written`, { hint: 'give a tag instead' });
      const target = where === 'remote' ? await openRemote(kit, reference) : (await kit.store()).repository(repositoryName(reference));
      return { target, tags: reference.tags, name, registry: reference.registry, ...nothingToClose };
    }
  }
}

function tagsOf(reference: string | undefined, name: string): string[] {
  if (isDigest(reference))
    throw new KitError('REFERENCE_INVALID', `${name}: a digest cannot be chosen for what is written`, { hint: 'give a tag instead' });
  return reference === undefined ? [] : [reference];
}
