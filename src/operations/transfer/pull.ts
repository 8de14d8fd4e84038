import { isKitError, KitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import { formatLocation, type Location } from '../../oci/reference.ts';
import { copy } from '../../targets/copy.ts';
import { type Admit, admitChain, admitted } from '../artifact/admission.ts';
import { baseReference, resolveChain } from '../artifact/base-modelkit.ts';
import type { Kit } from '../kit.ts';
import { loadArtifact } from '../artifact/load-artifact.ts';
import { openDestination, openSource, withDefaultTag } from '../artifact/open-location.ts';
import { admission } from '../policy/configured.ts';
import type { Transferred } from './push.ts';
import { eachTag } from '../artifact/references.ts';

export interface PullOptions extends CallOptions {
  /** Asked before anything of an artifact, or of a base ModelKit, is fetched. */
  readonly admit?: Admit | undefined;
}

/** Fetches ModelKits from a registry into the store, with the base ModelKits that they name. */
export async function pull(kit: Kit, source: Location, call: PullOptions = {}): Promise<Transferred[]> {
  if (source.type !== 'reference') {
    throw new KitError('USAGE', `${formatLocation(source)}: pull takes a reference in a registry`, {
      hint: 'an image layout can be read where it is: `kit unpack`, `kit push`',
    });
  }
  const results: Transferred[] = [];
  const admit = await admission(kit, call.admit);
  for (const one of eachTag(source)) results.push(...(await pullOne(kit, one, { ...call, admit })));
  return results;
}

async function pullOne(kit: Kit, location: Location, call: PullOptions): Promise<Transferred[]> {
  if (call.admit !== undefined) await admitChain(kit, location, call.admit, call);
  const first = await transferToStore(kit, location, call);
  const local = await openSource(kit, location, 'local', call);
  // an index, an image: what cannot be read as a model names no base
  const artifact = await loadArtifact(local.target, first.digest, first.reference, call).catch((error: unknown) => {
    if (isKitError(error, 'UNSUPPORTED')) return undefined;
    throw error;
  });
  const chain = await resolveChain(kit, artifact && baseReference(artifact), first.reference, 'local-first', call);
  const results = [first];
  for (const base of chain) {
    // by now its tag may be another one's
    if (base.source.isLocal) await call.admit?.(base.source, base.artifact.descriptor, call);
    else results.push(await transferToStore(kit, { type: 'reference', reference: base.reference }, call));
  }
  return results;
}

async function transferToStore(kit: Kit, location: Location, call: PullOptions): Promise<Transferred> {
  const from = await openSource(kit, location, 'remote', call);
  const reference = call.admit === undefined ? from.reference : await admitted(from, call.admit, call);
  const isDigest = location.type === 'reference' && location.reference.digest !== undefined;
  await using to = await openDestination(kit, isDigest ? withoutDigest(location) : withDefaultTag(location), 'local');
  const { digest } = await copy(from.target, reference, to.target, isDigest ? [] : to.tags, {
    ...call,
    concurrency: kit.concurrency,
    action: 'pull',
  });
  return { reference: from.name, digest };
}

function withoutDigest(location: Location): Location {
  if (location.type !== 'reference') return location;
  return { type: 'reference', reference: { ...location.reference, digest: undefined } };
}
