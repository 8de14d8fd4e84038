import { isKitError, KitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import { type Digest, isDigest } from '../../oci/digest.ts';
import { childrenOf } from '../../oci/manifest.ts';
import { isManifestLike } from '../../oci/media-types.ts';
import { formatLocation, type Location, parseLocation, repositoryName } from '../../oci/reference.ts';
import type { Signer } from '../../signing/signer.ts';
import { fetchMetadata } from '../../targets/manifest-bytes.ts';
import { runAll } from '../../targets/run-all.ts';
import type { Admit } from '../artifact/admission.ts';
import type { TagMove } from '../history/move.ts';
import { earlierValues, movesBack, movesTo } from '../history/moves.ts';
import { openTag, type TagPlace } from '../history/place.ts';
import { versionBefore } from '../history/versions.ts';
import type { Kit } from '../kit.ts';
import { admission } from '../policy/configured.ts';
import { currentActor } from '../actor.ts';
import { requireExpected } from './promote.ts';
import { isDoneAlready, type MoveOutcome, moveTag } from './promote-tag.ts';

export interface RollbackArguments {
  /** With one tag. */
  readonly location: Location;
  /** A tag or digest of the same repository, or a reference to it. Default: what the tag was `steps` before. */
  readonly to?: string | undefined;
  /** Default 1. */
  readonly steps?: number | undefined;
  /** Where no move of the tag is known: go to the release before the one that it is on, by version. */
  readonly byVersion?: boolean;
  /** A name with a registry is looked up in local storage. */
  readonly local?: boolean;
  /** Asked for what the tag is to go to: see `admitSigned`. */
  readonly admit?: Admit | undefined;
  readonly signer?: Signer | undefined;
  readonly by?: string | undefined;
  /** Refuse unless the tag is there. When a rollback from there was the last move, nothing is left to do. */
  readonly expect?: Digest | undefined;
  readonly dryRun?: boolean;
}

export interface RollbackResult extends MoveOutcome {
  /** Why the tag goes there. */
  readonly because: string;
}

interface Goal {
  readonly descriptor: Descriptor;
  readonly because: string;
  readonly name: string;
}

/**
 * Puts a tag back on what it was, after making sure that all of that is there. What it was is known from records beside the manifests
 * (`promote`, `rollback`) and from what this machine noted; where nothing is known it is refused.
 * @throws KitError REFERENCE_NOT_FOUND | TAG_MOVED | BLOB_NOT_FOUND, and what `admit` throws
 */
export async function rollback(kit: Kit, args: RollbackArguments, call: CallOptions = {}): Promise<RollbackResult> {
  const { location, to, expect, dryRun = false } = args;
  const place = await openTag(kit, location, { local: args.local ?? false, verb: 'roll back' });
  const { digest: current } = await place.target.resolve(place.tag, call);
  const named = to === undefined ? undefined : await findNamed(place, location, to, call);
  if (named === undefined && expect !== undefined && current !== expect) {
    const last = (await movesTo(kit, place, current, call))[0];
    if (isDoneAlready(last, 'rollback', expect))
      return {
        reference: place.name,
        from: current,
        to: current,
        changed: false,
        dryRun,
        because: `it was rolled back from ${expect} already`,
      };
  }
  requireExpected(place, current, expect, named?.descriptor.digest);
  const goal = named ?? (await findEarlier(kit, place, current, args, call));
  if (goal.descriptor.digest !== current) {
    await requireComplete(kit, place, goal.descriptor, call);
    const source = { target: place.target, reference: goal.descriptor.digest, name: goal.name, isLocal: place.isLocal };
    await (
      await admission(kit, args.admit)
    )?.(source, goal.descriptor, call);
  }
  const by = args.by ?? currentActor(kit.env);
  const plan = { kind: 'rollback', goal: goal.descriptor, current, from: goal.name, by, signer: args.signer, dryRun } as const;
  return { ...(await moveTag(kit, place, plan, call)), because: goal.because };
}

async function findNamed(place: TagPlace, location: Location, to: string, call: CallOptions): Promise<Goal> {
  const reference = isDigest(to) || /^\w[\w.-]*$/.test(to) ? to : referenceIn(location, to);
  return { descriptor: await place.target.resolve(reference, call), because: `--to ${to}`, name: nameIn(place, reference) };
}

/** The tag or digest of a reference to the same repository. */
function referenceIn(location: Location, to: string): string {
  const named = parseLocation(to);
  const same =
    named.type === 'reference' && location.type === 'reference'
      ? repositoryName(named.reference) === repositoryName(location.reference)
      : named.type !== 'reference' && location.type === named.type && location.path === named.path;
  const reference = named.type === 'reference' ? (named.reference.digest ?? named.reference.tags[0]) : named.reference;
  if (same && reference !== undefined) return reference;
  if (same) throw new KitError('REFERENCE_INVALID', `--to ${to}: a tag or digest is needed`);
  throw new KitError('REFERENCE_INVALID', `--to ${to} is not in the repository of ${formatLocation(location)}`, {
    hint: `to bring it there: \`kit promote ${to} ${formatLocation(location)}\``,
  });
}

/** `REPOSITORY:TAG` or `REPOSITORY@DIGEST` of a place. */
function nameIn({ target }: TagPlace, reference: string): string {
  return `${target.name}${isDigest(reference) ? '@' : ':'}${reference}`;
}

async function findEarlier(
  kit: Kit,
  place: TagPlace,
  current: Digest,
  { steps = 1, byVersion = false }: RollbackArguments,
  call: CallOptions,
): Promise<Goal> {
  if (!Number.isSafeInteger(steps) || steps < 1) throw new KitError('USAGE', `invalid number of steps (${steps}): at least 1`);
  let known = 0;
  let oldest: TagMove | undefined;
  const moves = movesBack(kit, place, current, call);
  const watched = (async function* () {
    for await (const move of moves) yield (oldest = move);
  })();
  for await (const { digest, move } of earlierValues(watched)) {
    if ((known += 1) < steps) continue;
    const descriptor = await resolveStill(place, digest, call);
    return { descriptor, because: describeMove(move), name: nameIn(place, digest) };
  }
  const before = known === 0 ? await versionBefore(place, current, steps, call) : undefined;
  if (before !== undefined && byVersion) {
    const because = `${before.tag} is ${steps === 1 ? 'the release' : `${steps} releases`} before ${before.of}`;
    return { descriptor: before.descriptor, because, name: nameIn(place, before.tag) };
  }
  throw notKnown(place, { known, steps, before: before?.tag, wasNew: oldest !== undefined && oldest.previous === undefined });
}

function describeMove({ when, by, evidence, digest }: TagMove): string {
  const who = by === undefined || by === '' ? '' : ` by ${by}`;
  return `the tag was moved from there to ${digest} at ${when}${who} (${evidence === 'record' ? 'recorded beside it' : 'noted on this machine'})`;
}

/** Registries remove what has no tag, sooner or later. */
async function resolveStill(place: TagPlace, digest: Digest, call: CallOptions): Promise<Descriptor> {
  try {
    return await place.target.resolve(digest, call);
  } catch (error) {
    if (!isKitError(error, 'REFERENCE_NOT_FOUND')) throw error;
    throw new KitError('REFERENCE_NOT_FOUND', `${place.name} was ${digest}, which is not in ${place.target.name} any more`, {
      cause: error,
      hint: `\`kit history ${place.target.name}\` shows what is there: \`kit rollback ${place.name} --to TAG\`; a tag for each version keeps it`,
    });
  }
}

interface Unknown {
  /** How many steps back are known. */
  readonly known: number;
  readonly steps: number;
  /** The tag of the release before. */
  readonly before: string | undefined;
  /** The tag is known from its beginning: there is nothing before. */
  readonly wasNew: boolean;
}

function notKnown({ name, target }: TagPlace, { known, steps, before, wasNew }: Unknown): KitError {
  const count = `${known} step${known === 1 ? '' : 's'}`;
  const what = wasNew
    ? known === 0
      ? `${name} was new when it was put where it is: there is nothing before that`
      : `${name} was new ${count} ago: it cannot go back ${steps}`
    : known === 0
      ? `it is not known what ${name} was before`
      : `it is known only what ${name} was ${count} before, not ${steps}`;
  const choose = `\`kit history ${target.name}\` shows what there is, \`--to TAG\` chooses`;
  const hint =
    before === undefined
      ? choose
      : `by version it would be ${before}: \`kit rollback ${name} --to ${before}\` (or \`--by-version\`); ${choose}`;
  return new KitError('REFERENCE_NOT_FOUND', what, { hint });
}

/** What the tag goes to must be whole: a manifest whose layers were collected would break whoever pulls it. */
async function requireComplete(kit: Kit, { target }: TagPlace, root: Descriptor, call: CallOptions): Promise<void> {
  const seen = new Set<Digest>([root.digest]);
  const manifests = [root];
  for (const manifest of manifests) {
    const children = childrenOf(manifest, await fetchMetadata(target, manifest, call)).filter(({ digest }) => !seen.has(digest));
    for (const { digest } of children) seen.add(digest);
    manifests.push(...children.filter(({ mediaType }) => isManifestLike(mediaType)));
    const blobs = children.filter(({ mediaType }) => !isManifestLike(mediaType));
    await runAll(blobs, kit.concurrency, call.signal, async (blob, signal) => {
      if (await target.has(blob, { ...call, signal })) return;
      throw new KitError('BLOB_NOT_FOUND', `${target.name}@${root.digest}: ${blob.digest} is missing: the tag stays`, {
        hint: 'push that version again, or choose another one with `--to`',
      });
    });
  }
}
