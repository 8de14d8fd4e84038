import { isKitError, KitError } from '../errors.ts';
import type { CallOptions } from '../events.ts';
import type { Digest } from '../oci/digest.ts';
import { formatLocation, type Location } from '../oci/reference.ts';
import { copy } from '../targets/copy.ts';
import { type Admit, admitChain, admitted } from './admission.ts';
import { baseReference, resolveChain } from './base-modelkit.ts';
import { journaled } from './history-journal.ts';
import type { Kit } from './kit.ts';
import { loadArtifact } from './load-artifact.ts';
import { MountCandidates } from './mount-candidates.ts';
import { openDestination, openSource, withDefaultTag } from './open-location.ts';
import { admission } from './policy-configured.ts';

/** One tag (or digest) that was moved. */
export interface Transferred {
  readonly reference: string;
  readonly digest: Digest;
}

/** `repo:a,b` as one location for each tag; without tags the one that stands for them. */
function eachTag(location: Location): Location[] {
  if (location.type !== 'reference') return [location];
  const { reference } = location;
  if (reference.digest !== undefined) return [location];
  const tags = reference.tags.length === 0 ? ['latest'] : reference.tags;
  return tags.map((tag) => ({ type: 'reference', reference: { ...reference, tags: [tag] } }));
}

export interface PushArguments {
  readonly source: Location;
  /** Default: the registry that `source` names. */
  readonly destination?: Location;
}

/** Sends ModelKits from the store or a layout to a registry or layout: each tag of the source, or its first under the destination's tags. */
export async function push(kit: Kit, { source, destination }: PushArguments, call: CallOptions = {}): Promise<Transferred[]> {
  const sources = eachTag(source);
  const results: Transferred[] = [];
  for (const one of destination === undefined ? sources : sources.slice(0, 1)) {
    await using to = await openDestination(kit, withDefaultTag(destination ?? one), 'remote');
    const from = await openSource(kit, one, 'local', call);
    const candidates = mountCandidates(kit, destination ?? one);
    const options = { ...call, concurrency: kit.concurrency, action: 'push', mountFrom: candidates?.of } as const;
    const target = to.registry === undefined ? to.target : journaled(kit, to.target, 'registry', call);
    const { digest } = await copy(from.target, from.reference, target, to.tags, options).catch((error: unknown) => {
      throw withRepairHint(error, from.name);
    });
    await to.close();
    for (const reference of destination === undefined ? [to.name] : eachTag(destination).map(formatLocation))
      results.push({ reference, digest });
  }
  return results;
}

function mountCandidates(kit: Kit, destination: Location): MountCandidates | undefined {
  if (destination.type !== 'reference') return undefined;
  const { registry, repository } = destination.reference;
  return registry === undefined ? undefined : new MountCandidates(() => kit.store(), { registry, repository });
}

// it is the receiver that notices: what it says does not tell that the copy here is the damaged one
function withRepairHint(error: unknown, source: string): unknown {
  if (!isKitError(error, 'DIGEST_MISMATCH', 'SIZE_MISMATCH') || error.origin !== 'source') return error;
  return new KitError(error.code, `${source} is damaged: ${error.message}`, {
    cause: error,
    hint: 'pack it again, or pull it from a registry that has it: that repairs what is stored',
  });
}

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
