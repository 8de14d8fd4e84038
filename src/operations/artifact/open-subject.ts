import { isKitError, KitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import { formatLocation, type Location, type Reference, referenceTarget, repositoryName } from '../../oci/reference.ts';
import { openLayout } from '../../targets/layout.ts';
import { fetchMetadata } from '../../targets/manifest-bytes.ts';
import type { Target } from '../../targets/types.ts';
import type { Kit } from '../kit.ts';
import { openRemote } from './open-location.ts';
import { requireOneReference } from './references.ts';

/** An artifact that something is going to be said about, where that can be put beside it. */
export interface Subject {
  readonly target: Target;
  /** Its manifest or index, which is there and sound. */
  readonly descriptor: Descriptor;
  /** As the user would write it. */
  readonly name: string;
  /** Of the artifact: `ghcr.io/team/model`; empty for an image layout. */
  readonly repository: string;
}

/**
 * Where signatures go: into the registry that a reference names, as with cosign; a name without a registry (or `local`) is the
 * artifact in the store. @throws KitError UNSUPPORTED for an archive, REFERENCE_NOT_FOUND, DIGEST_MISMATCH
 */
export async function openSubject(
  kit: Kit,
  location: Location,
  { local = false, verb }: { readonly local?: boolean; readonly verb: string },
  call: CallOptions = {},
): Promise<Subject> {
  requireOneReference(location, verb);
  const name = formatLocation(location);
  const { target, reference } = await openTarget(kit, location, local, call);
  const descriptor = await target.resolve(reference, call).catch(async (error: unknown) => {
    throw location.type === 'reference' ? await withStoreHint(kit, location.reference, error, verb) : error;
  });
  await fetchMetadata(target, descriptor, call);
  const isRemote = location.type === 'reference' && !local && location.reference.registry !== undefined;
  if (isRemote) await warnOfOther(kit, location.reference, descriptor, { name, call });
  return { target, descriptor, name, repository: location.type === 'reference' ? repositoryName(location.reference) : '' };
}

async function openTarget(
  kit: Kit,
  location: Location,
  local: boolean,
  call: CallOptions,
): Promise<{ readonly target: Target; readonly reference: string }> {
  switch (location.type) {
    case 'archive':
      throw new KitError('UNSUPPORTED', `${formatLocation(location)}: an archive cannot be added to`, {
        hint: 'sign the artifact where it comes from, or in an image layout (`oci:DIR`)',
      });
    case 'layout': {
      const target = await openLayout(location.path);
      return { target, reference: location.reference ?? (await target.resolveOnly()).digest };
    }
    case 'reference': {
      const { reference } = location;
      const wanted = referenceTarget(reference);
      if (!local && reference.registry !== undefined) return { target: await openRemote(kit, reference), reference: wanted };
      call.signal?.throwIfAborted();
      return { target: (await kit.store()).repository(repositoryName(reference)), reference: wanted };
    }
  }
}

async function inStore(kit: Kit, reference: Reference): Promise<Descriptor | undefined> {
  try {
    return await (await kit.store()).repository(repositoryName(reference)).resolve(referenceTarget(reference));
  } catch (error) {
    if (isKitError(error)) return undefined;
    throw error;
  }
}

async function withStoreHint(kit: Kit, reference: Reference, error: unknown, verb: string): Promise<unknown> {
  if (!isKitError(error, 'REFERENCE_NOT_FOUND') || reference.registry === undefined || (await inStore(kit, reference)) === undefined)
    return error;
  const name = formatLocation({ type: 'reference', reference });
  const hint = `it is in local storage only: \`kit push ${name}\` first, or ${verb} it there with \`--local\``;
  return new KitError(error.code, error.message, { cause: error, hint });
}

/** A tag that was packed again and not pushed yet: what is signed may not be what is meant. */
async function warnOfOther(
  kit: Kit,
  reference: Reference,
  { digest }: Descriptor,
  { name, call }: { readonly name: string; readonly call: CallOptions },
): Promise<void> {
  if (reference.digest !== undefined) return;
  const own = await inStore(kit, reference);
  if (own === undefined || own.digest === digest) return;
  call.onEvent?.({
    type: 'warning',
    code: 'OTHER_IN_STORE',
    message: `${name} is ${digest} in the registry and ${own.digest} in local storage: the one in the registry is meant`,
  });
}
