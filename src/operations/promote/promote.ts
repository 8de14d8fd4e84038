import { KitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import { type Digest, isDigest } from '../../oci/digest.ts';
import { formatLocation, type Location, referenceTarget } from '../../oci/reference.ts';
import type { Signer } from '../../signing/signer.ts';
import type { ReadTarget } from '../../targets/types.ts';
import { type Admit, admitted } from '../artifact/admission.ts';
import { copyAdmitted } from '../transfer/copy.ts';
import { type MoveOutcome, moveTag, resolveTag } from './promote-tag.ts';
import { openTag, type TagPlace } from '../history/place.ts';
import { currentActor } from '../actor.ts';
import type { Kit } from '../kit.ts';
import { openRemoteSource, openSource, type Source } from '../artifact/open-location.ts';
import { admission } from '../policy/configured.ts';
import { requireOneReference } from '../artifact/references.ts';

export interface PromoteArguments {
  readonly source: Location;
  /** With one tag. */
  readonly destination: Location;
  /** Names with a registry are looked up and tagged in local storage. */
  readonly local?: boolean;
  /** Asked before anything is copied or tagged: see `admitSigned`. */
  readonly admit?: Admit | undefined;
  /** Signs the record. Without one it is a statement that nobody signed. */
  readonly signer?: Signer | undefined;
  /** Who promotes. Default: who is logged in, to the CI system or to this machine. */
  readonly by?: string | undefined;
  /** Refuse unless the tag is there; `null`: unless there is no such tag. */
  readonly expect?: Digest | null | undefined;
  readonly dryRun?: boolean;
}

export interface PromoteResult extends MoveOutcome {
  readonly source: string;
}

/**
 * Puts a tag on an artifact, copying it and all that refers to it first where it comes from another repository, and records that
 * beside it: from, to, when, by. Done already, it does nothing.
 * @throws KitError REFERENCE_NOT_FOUND | TAG_MOVED, what `admit` throws, and those of copy
 */
export async function promote(kit: Kit, args: PromoteArguments, call: CallOptions = {}): Promise<PromoteResult> {
  const { source, destination, local = false, dryRun = false, expect } = args;
  requireOneReference(source, 'promote');
  const place = await openTag(kit, destination, { local, verb: 'promote', create: !dryRun });
  const from = await openPromoted(kit, source, local, call);
  const admit = await admission(kit, args.admit, destination);
  const goal = await from.target.resolve(admit === undefined ? from.reference : await admitted(from, admit, call), call);
  const current = await resolveTag(place, call);
  requireExpected(place, current, expect, goal.digest);
  const isMove = current !== goal.digest;
  if (isMove && !dryRun && !isSameRepository(from, place)) {
    const ends = { source: withDigest(source, goal.digest), destination: withoutTag(destination), fromLocal: local, toLocal: local };
    await copyAdmitted(kit, { ...ends, referrers: true }, call);
  }
  const by = args.by ?? currentActor(kit.env);
  const moved = await moveTag(kit, place, { kind: 'promotion', goal, current, from: from.name, by, signer: args.signer, dryRun }, call);
  return { source: from.name, ...moved };
}

async function openPromoted(kit: Kit, location: Location, local: boolean, call: CallOptions): Promise<Source> {
  if (location.type !== 'reference' || local || location.reference.registry === undefined)
    return await openSource(kit, location, 'local', call);
  const target: ReadTarget = await openRemoteSource(kit, location.reference);
  return { target, reference: referenceTarget(location.reference), name: formatLocation(location), isLocal: false };
}

function isSameRepository({ target, isLocal }: Source, place: TagPlace): boolean {
  return target.name === place.target.name && isLocal === place.isLocal;
}

/** @throws KitError TAG_MOVED, unless the tag is where it should go already */
export function requireExpected(
  { name }: TagPlace,
  current: Digest | undefined,
  expected: Digest | null | undefined,
  goal: Digest | undefined,
): void {
  if (expected === undefined || (goal !== undefined && current === goal) || (current ?? null) === expected) return;
  throw new KitError('TAG_MOVED', `${name} is ${current ?? 'not there'}, not ${expected ?? 'absent'} as expected`, {
    hint: `somebody else moved it: \`kit history ${name}\` shows what is known of that`,
  });
}

function withDigest(location: Location, digest: Digest): Location {
  if (location.type !== 'reference') return { ...location, reference: digest };
  return { type: 'reference', reference: { ...location.reference, tags: [], digest } };
}

function withoutTag(location: Location): Location {
  if (location.type !== 'reference') return { ...location, reference: isDigest(location.reference) ? location.reference : undefined };
  return { type: 'reference', reference: { ...location.reference, tags: [] } };
}
