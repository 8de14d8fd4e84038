import type { CallOptions } from '../../events.ts';
import type { Digest } from '../../oci/digest.ts';
import { readJournal } from './journal.ts';
import type { TagMove } from './move.ts';
import type { TagPlace } from './place.ts';
import { readRecords } from './record.ts';
import type { Kit } from '../kit.ts';

/** Moves that are followed: a chain that is longer was made to keep us busy. */
const MAX_MOVES = 500;

/** All known moves that put the tag on `digest`, newest first. */
export async function movesTo(kit: Kit, place: TagPlace, digest: Digest, call: CallOptions): Promise<TagMove[]> {
  const [records, journal] = await Promise.all([readRecords(place, digest, call), readJournal(kit, place, call)]);
  const noted = journal.filter(
    (move) => move.digest === digest && !records.some(({ when, previous }) => when === move.when && previous === move.previous),
  );
  return [...records, ...noted].toSorted((a, b) => (a.when < b.when ? 1 : a.when > b.when ? -1 : 0));
}

/**
 * The moves of a tag that is on `current`, newest first: each leads to where the tag was before, whose own moves are looked up there.
 * Ends where nothing older is known.
 */
export async function* movesBack(kit: Kit, place: TagPlace, current: Digest, call: CallOptions): AsyncGenerator<TagMove, void, undefined> {
  let digest = current;
  let before: string | undefined;
  for (let count = 0; count < MAX_MOVES; count++) {
    const bound = before;
    const move = (await movesTo(kit, place, digest, call)).find(({ when }) => bound === undefined || when < bound);
    if (move === undefined) return;
    yield move;
    if (move.previous === undefined) return;
    digest = move.previous;
    before = move.when;
  }
}

/** Where a tag was, with the move that put something else there. */
export interface EarlierValue {
  readonly digest: Digest;
  readonly move: TagMove;
}

/**
 * What a tag was, nearest first, as a stack: a promotion puts one on, a rollback takes off what is above where it went. So going back
 * twice never returns to what was left the first time. A rollback to where the tag never was ends it. `moves` are newest first.
 */
export async function* earlierValues(moves: AsyncIterator<TagMove>): AsyncGenerator<EarlierValue, void, undefined> {
  let above: StackEntry | undefined;
  for await (const entry of stackAfter(moves, undefined)) {
    if (above?.put !== undefined) yield { digest: entry.digest, move: above.put };
    above = entry;
  }
}

interface StackEntry {
  readonly digest: Digest;
  /** Undefined for the oldest, of which only the move away is known. */
  readonly put: TagMove | undefined;
}

/** The stack as the next of `moves` left it, its top first; `bottom` is where the tag was when nothing older is known. */
async function* stackAfter(moves: AsyncIterator<TagMove>, bottom: Digest | undefined): AsyncGenerator<StackEntry, void, undefined> {
  const next = await moves.next();
  if (next.done === true) {
    if (bottom !== undefined) yield { digest: bottom, put: undefined };
    return;
  }
  const move = next.value;
  if (move.kind !== 'rollback') {
    yield { digest: move.digest, put: move };
    yield* stackAfter(moves, move.previous);
    return;
  }
  let isFound = false;
  for await (const entry of stackAfter(moves, move.previous)) {
    isFound ||= entry.digest === move.digest;
    if (isFound) yield entry;
  }
  if (!isFound) yield { digest: move.digest, put: move };
}
