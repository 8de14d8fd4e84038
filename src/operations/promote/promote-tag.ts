import { bytesSource } from '../../blob-source.ts';
import { isKitError, KitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import { type Digest, digestHex } from '../../oci/digest.ts';
import type { Signer } from '../../signing/signer.ts';
import { fetchMetadata } from '../../targets/manifest-bytes.ts';
import { noteMove } from '../history/journal.ts';
import { type TagMove, timeAfter } from '../history/move.ts';
import { movesTo } from '../history/moves.ts';
import type { TagPlace } from '../history/place.ts';
import { attachRecord, type RecordedMove } from '../history/record.ts';
import type { Kit } from '../kit.ts';

/** What became of a tag. */
export interface MoveOutcome {
  /** The tag, as the user would write it. */
  readonly reference: string;
  /** Undefined: the tag is new. */
  readonly from: Digest | undefined;
  readonly to: Digest;
  /** False: the tag was there already, or this is a dry run. */
  readonly changed: boolean;
  readonly dryRun: boolean;
  readonly when?: string;
  readonly by?: string;
  /** The manifest that holds the record of it. */
  readonly record?: Digest;
}

export interface MovePlan {
  readonly kind: 'promotion' | 'rollback';
  readonly goal: Descriptor;
  /** Where the tag was when the decision was made. */
  readonly current: Digest | undefined;
  readonly from: string;
  readonly by: string;
  readonly signer: Signer | undefined;
  readonly dryRun: boolean;
}

/** Where a tag is; undefined when there is none. What it is on may be damaged. */
export async function resolveTag({ target, tag }: TagPlace, call: CallOptions): Promise<Digest | undefined> {
  try {
    return (await target.resolve(tag, call)).digest;
  } catch (error) {
    if (isKitError(error, 'REFERENCE_NOT_FOUND')) return undefined;
    throw error;
  }
}

/**
 * Records a move, then makes it, then notes it here. A run that was killed between finds its record and goes on. Registries cannot
 * compare and set a tag: it is looked at once more right before it moves.
 * @throws KitError TAG_MOVED when it was moved meanwhile
 */
export async function moveTag(kit: Kit, place: TagPlace, plan: MovePlan, call: CallOptions): Promise<MoveOutcome> {
  const { goal, current, dryRun } = plan;
  const outcome = { reference: place.name, from: current, to: goal.digest, dryRun };
  if (current === goal.digest || dryRun) return { ...outcome, changed: false };
  const last = current === undefined ? undefined : await lastMove(kit, place, current, plan, call);
  const unfinished = await lastMove(kit, place, goal.digest, plan, call);
  const isUnfinished =
    unfinished?.record !== undefined &&
    unfinished.kind === plan.kind &&
    unfinished.previous === current &&
    (last === undefined || unfinished.when > last.when) &&
    (plan.signer === undefined || unfinished.signed === true);
  const move: RecordedMove = isUnfinished
    ? { ...unfinished, kind: plan.kind, by: unfinished.by ?? '', from: unfinished.from ?? '' }
    : { kind: plan.kind, digest: goal.digest, previous: current, when: timeAfter(last), by: plan.by, from: plan.from };
  const record = isUnfinished ? unfinished.record : await recordMove(kit, place, plan, move, call);
  const previous = current === undefined || place.isLocal ? undefined : await readManifest(place, current, call);
  await requireUnmoved(place, current, call);
  await place.target.tag(goal, place.tag, call);
  if (previous !== undefined) await keepPrevious(place, previous, call);
  await noteMove(kit, place, move, call);
  return { ...outcome, changed: true, when: move.when, by: move.by, ...(record !== undefined && { record }) };
}

/** The last known move to a manifest. Where a registry does not tell, a rollback is made all the same. */
async function lastMove(kit: Kit, place: TagPlace, digest: Digest, { kind }: MovePlan, call: CallOptions): Promise<TagMove | undefined> {
  try {
    return (await movesTo(kit, place, digest, call))[0];
  } catch (error) {
    if (kind === 'promotion' || !isKitError(error)) throw error;
    call.signal?.throwIfAborted();
    return undefined;
  }
}

/** A rollback does not fail for want of a record: it is an emergency, and can be told from the records that are there. */
async function recordMove(
  kit: Kit,
  place: TagPlace,
  { kind, goal, signer }: MovePlan,
  move: RecordedMove,
  call: CallOptions,
): Promise<Digest | undefined> {
  try {
    return await attachRecord(kit, place, goal, move, { signer, call });
  } catch (error) {
    if (kind === 'promotion' || !isKitError(error)) throw error;
    call.signal?.throwIfAborted();
    call.onEvent?.({
      type: 'warning',
      code: 'NOT_RECORDED',
      message: `${place.name}: the rollback could not be recorded: ${error.message}`,
    });
    return undefined;
  }
}

async function requireUnmoved(place: TagPlace, current: Digest | undefined, call: CallOptions): Promise<void> {
  const now = await resolveTag(place, call);
  if (now === current) return;
  throw new KitError('TAG_MOVED', `${place.name} was moved from ${current ?? 'nothing'} to ${now ?? 'nothing'} meanwhile: left there`, {
    hint: `\`kit history ${place.name}\` shows what is known of that`,
  });
}

interface KeptManifest {
  readonly descriptor: Descriptor;
  readonly bytes: Buffer;
}

/** Undefined for one that is damaged: there is nothing to keep. */
async function readManifest({ target }: TagPlace, digest: Digest, call: CallOptions): Promise<KeptManifest | undefined> {
  try {
    const descriptor = await target.resolve(digest, call);
    return { descriptor, bytes: await fetchMetadata(target, descriptor, call) };
  } catch (error) {
    if (!isKitError(error)) throw error;
    call.signal?.throwIfAborted();
    return undefined;
  }
}

/** Some registries (zot) drop a manifest at once when its last tag leaves it, and no rollback could bring it back: it gets a tag of its own. */
async function keepPrevious({ target, tag }: TagPlace, { descriptor, bytes }: KeptManifest, call: CallOptions): Promise<void> {
  const { digest } = descriptor;
  try {
    await target.resolve(digest, call);
  } catch (error) {
    if (!isKitError(error, 'REFERENCE_NOT_FOUND')) throw error;
    const name = `${tag.slice(0, 100)}-${digestHex(digest).slice(0, 12)}`;
    await target.push(descriptor, bytesSource(bytes), call);
    await target.tag(descriptor, name, call);
    const message = `the registry dropped ${digest} when the tag left it: it is kept as ${target.name}:${name}, so that a rollback finds it`;
    call.onEvent?.({ type: 'warning', code: 'PREVIOUS_KEPT', message });
  }
}

/** The move that a script repeats: the tag is where a move of this kind from `expected` put it. */
export function isDoneAlready(last: TagMove | undefined, kind: TagMove['kind'], expected: Digest | null | undefined): boolean {
  return last !== undefined && expected !== undefined && expected !== null && last.kind === kind && last.previous === expected;
}
