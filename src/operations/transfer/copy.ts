import { isKitError, KitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import { type Digest, isDigest } from '../../oci/digest.ts';
import { formatLocation, type Location, type Reference, repositoryName } from '../../oci/reference.ts';
import { isReferrersTag } from '../../oci/referrers-tag.ts';
import { copy as copyArtifact } from '../../targets/copy.ts';
import { verifiedReads } from '../../targets/copy-verified.ts';
import type { ReadTarget } from '../../targets/types.ts';
import { type Admit, admitted } from '../artifact/admission.ts';
import { findBase } from '../artifact/find-base.ts';
import type { Kit } from '../kit.ts';
import { MountCandidates } from './mount-candidates.ts';
import { type Destination, openDestination, openRemote, openSource, type Source } from '../artifact/open-location.ts';
import { admission } from '../policy/configured.ts';
import { type Tally, TransferTally } from './transfer-tally.ts';

export interface CopyArguments {
  readonly source: Location;
  readonly destination: Location;
  /** A name with a registry means local storage too. */
  readonly fromLocal?: boolean;
  readonly toLocal?: boolean;
  /** Takes along signatures, attestations, SBOMs and what else refers to the artifact. */
  readonly referrers?: boolean;
  /** Every tag of the source; neither side names one. */
  readonly allTags?: boolean;
  /** Asked for each artifact before a byte of it moves. */
  readonly admit?: Admit | undefined;
}

/** One artifact that was copied. */
export interface Copied extends Tally {
  readonly source: string;
  /** What it is now, with all its tags. */
  readonly reference: string;
  readonly digest: Digest;
}

/** One artifact to copy: its location, and the tags for the copy. */
interface Item {
  readonly source: Location;
  readonly tags: readonly string[];
}

/**
 * Copies artifacts from a registry, local storage, a layout or an archive to any of them. A name with a registry is that registry, a
 * name without one is local storage. Between registries nothing is stored here. Without tags in the destination those of the source
 * are kept. @throws KitError with `origin`
 */
export async function copy(kit: Kit, args: CopyArguments, call: CallOptions = {}): Promise<Copied[]> {
  return await copyAdmitted(kit, { ...args, admit: await admission(kit, args.admit, args.destination) }, call);
}

/** The same for what the policies of the configuration have been asked about. */
export async function copyAdmitted(kit: Kit, args: CopyArguments, call: CallOptions): Promise<Copied[]> {
  const { source, destination } = args;
  await using to = await openDestination(kit, withoutTags(destination), isRemote(destination, args.toLocal) ? 'remote' : 'local');
  const items = args.allTags === true ? await eachTagOf(kit, args, call) : eachTag(source, tagsOf(destination));
  const copied: Copied[] = [];
  for (const item of items) copied.push(await copyOne(kit, args, item, to, call));
  await to.close();
  return copied;
}

async function copyOne(kit: Kit, args: CopyArguments, { source, tags }: Item, to: Destination, call: CallOptions): Promise<Copied> {
  const fromRemote = isRemote(source, args.fromLocal);
  const toRemote = isRemote(args.destination, args.toLocal);
  const tally = new TransferTally();
  try {
    const from = await openSource(kit, source, fromRemote ? 'remote' : 'local', call);
    const reference = args.admit === undefined ? from.reference : await admitted(from, args.admit, call);
    // a registry is to hash what it gets, and is not trusted to
    const { digest } = await copyArtifact(toRemote ? verifiedReads(from.target) : from.target, reference, to.target, tags, {
      ...tally.watch(call),
      concurrency: kit.concurrency,
      action: toRemote ? 'push' : 'pull',
      referrers: args.referrers,
      mountFrom: toRemote ? mountsFor(kit, source, args.destination, fromRemote) : undefined,
    });
    await warnOfBase(from, digest, call);
    return { source: from.name, reference: nameOf(args.destination, tags, digest), digest, ...tally.result };
  } catch (error) {
    throw await withOtherWay(kit, source, fromRemote, error, call);
  }
}

/** True for a name with a registry that does not mean local storage. */
export function isRemote(location: Location, isLocal = false): boolean {
  return location.type === 'reference' && location.reference.registry !== undefined && !isLocal;
}

/** Where the registry may have the blobs already: first the repository that they come from. */
export function mountsFor(kit: Kit, source: Location, destination: Location, fromRemote: boolean): MountCandidates['of'] | undefined {
  if (destination.type !== 'reference') return undefined;
  const { registry, repository } = destination.reference;
  if (registry === undefined) return undefined;
  const own = fromRemote && source.type === 'reference' && source.reference.registry === registry ? source.reference.repository : undefined;
  const candidates = new MountCandidates(() => kit.store(), { registry, repository });
  if (own === undefined || own === repository) return candidates.of;
  return async (blob) => [own, ...(await candidates.of(blob)).filter((candidate) => candidate !== own)];
}

/** What unpacking the copy needs besides is named: it stays where it is. */
async function warnOfBase(from: Source, digest: Digest, call: CallOptions): Promise<void> {
  const base = await findBase(from, digest, call);
  if (base === undefined) return;
  const message = `the model of ${from.name} is the ModelKit ${base}, which is not copied: unpacking needs it under that name`;
  call.onEvent?.({ type: 'warning', code: 'BASE_NOT_COPIED', message });
}

function tagsOf(location: Location): readonly string[] {
  if (location.type === 'reference') return location.reference.tags;
  return location.reference === undefined || isDigest(location.reference) ? [] : [location.reference];
}

function withoutTags(location: Location): Location {
  if (location.type === 'reference') return { type: 'reference', reference: { ...location.reference, tags: [] } };
  return tagsOf(location).length === 0 ? location : { ...location, reference: undefined };
}

/** One item for each tag of the source, or one for all of `wanted`. */
function eachTag(source: Location, wanted: readonly string[]): Item[] {
  if (source.type !== 'reference') return [{ source, tags: wanted.length > 0 ? wanted : orLatest(source.reference) }];
  const { reference } = source;
  if (reference.digest !== undefined) return [{ source, tags: wanted.length > 0 ? wanted : reference.tags }];
  const tags = reference.tags.length > 0 ? reference.tags : ['latest'];
  if (tags.length > 1 && wanted.length > 0) {
    throw new KitError('USAGE', `${formatLocation(source)}: several tags cannot all become ${wanted.join(',')}`, {
      hint: 'leave the tags of the destination out: those of the source are kept',
    });
  }
  return tags.map((tag) => ({
    source: { type: 'reference', reference: { ...reference, tags: [tag] } },
    tags: wanted.length > 0 ? wanted : [tag],
  }));
}

/** Content of a layout that has no tag of its own there. */
function orLatest(reference: string | undefined): string[] {
  if (isDigest(reference)) return [];
  // of a full name, the tag
  return [reference?.slice(reference.lastIndexOf(':') + 1) ?? 'latest'];
}

async function eachTagOf(kit: Kit, { source, destination, fromLocal, referrers }: CopyArguments, call: CallOptions): Promise<Item[]> {
  if (isNamed(source) || isNamed(destination))
    throw new KitError('USAGE', '--all-tags copies every tag: neither side may name a tag or a digest');
  const target = await repositoryTarget(kit, source, isRemote(source, fromLocal));
  if (target.can.tags === undefined) throw new KitError('UNSUPPORTED', `${target.name} cannot list tags`);
  const all = (await Array.fromAsync(target.can.tags(call))).toSorted();
  const tags = all.filter((tag) => !isReferrersTag(tag));
  if (tags.length === 0) throw new KitError('REFERENCE_NOT_FOUND', `${target.name} has no tags`);
  if (tags.length < all.length && referrers !== true) {
    const message = `${all.length - tags.length} tags of signatures and SBOMs in ${target.name} are left out: --referrers takes them along`;
    call.onEvent?.({ type: 'warning', code: 'REFERRERS_LEFT_OUT', message });
  }
  return tags.map((tag) => ({ source: withTag(source, tag), tags: [tag] }));
}

async function repositoryTarget(kit: Kit, source: Location, fromRemote: boolean): Promise<ReadTarget> {
  if (source.type === 'reference' && fromRemote) return await openRemote(kit, source.reference);
  if (source.type === 'reference') return (await kit.store()).repository(repositoryName(source.reference));
  // any reference will do: it is not resolved
  return (await openSource(kit, { ...source, reference: 'latest' }, 'local')).target;
}

function isNamed(location: Location): boolean {
  if (location.type !== 'reference') return location.reference !== undefined;
  return location.reference.tags.length > 0 || location.reference.digest !== undefined;
}

function withTag(location: Location, tag: string): Location {
  if (location.type === 'reference') return { type: 'reference', reference: { ...location.reference, tags: [tag] } };
  return { ...location, reference: tag };
}

function nameOf(destination: Location, tags: readonly string[], digest: Digest): string {
  if (destination.type === 'reference') {
    const named: Reference = { ...destination.reference, tags, digest: tags.length === 0 ? digest : undefined };
    return formatLocation({ type: 'reference', reference: named });
  }
  return formatLocation({ ...destination, reference: tags[0] ?? digest });
}

/** A source that is not there may be on the other side of the rule. */
async function withOtherWay(kit: Kit, source: Location, fromRemote: boolean, error: unknown, call: CallOptions): Promise<unknown> {
  if (source.type !== 'reference' || !(error instanceof KitError)) return error;
  const name = formatLocation(source);
  if (!fromRemote && error.code === 'REFERENCE_NOT_FOUND' && error.origin === undefined) {
    const hint =
      source.reference.registry === undefined
        ? `a name without a registry is looked for in local storage (\`kit list\`); for a registry write REGISTRY/${name}`
        : `without --from-local it is looked for in ${source.reference.registry}`;
    return new KitError(error.code, error.message, { hint, cause: error });
  }
  if (!fromRemote || !isKitError(error, 'REFERENCE_NOT_FOUND', 'NETWORK', 'UNAUTHORIZED', 'DENIED', 'TLS_FAILED')) return error;
  if (error.origin !== 'source') return error;
  const isHere = await openSource(kit, source, 'local', call).then(
    () => true,
    () => false,
  );
  if (!isHere) return error;
  const hint = `local storage has it: \`--from-local\` copies it from there${error.hint === undefined ? '' : `; or else: ${error.hint}`}`;
  return new KitError(error.code, error.message, { hint, cause: error, origin: error.origin });
}
