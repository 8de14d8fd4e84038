import { createHash } from 'node:crypto';
import { appendFile, mkdir, open } from 'node:fs/promises';
import { join } from 'node:path';
import { type CallOptions } from '../../events.ts';
import { isKitError } from '../../errors.ts';
import { isReferrersTag } from '../../oci/referrers-tag.ts';
import type { Target } from '../../targets/types.ts';
import { type TagMove, timeAfter } from './move.ts';
import { keyOf, type TagPlace } from './place.ts';
import type { Kit } from '../kit.ts';

/** Only the end of a journal is read: a tag that moves every minute has a month in it. */
const MAX_BYTES = 8 * 1024 * 1024;

/** One file for each tag: `<home>/history/` and the SHA-256 of place and tag. */
function fileOf(kit: Kit, { key, tag }: Pick<TagPlace, 'key' | 'tag'>): string {
  return join(kit.home, 'history', `${createHash('sha256').update(`${key}\n${tag}`).digest('hex')}.jsonl`);
}

/** Notes a move that was made. One that cannot be noted is a warning: the tag has moved all the same. */
export async function noteMove(
  kit: Kit,
  place: Pick<TagPlace, 'key' | 'tag'>,
  move: Omit<TagMove, 'evidence' | 'record' | 'signed'>,
  call: CallOptions,
): Promise<void> {
  const { kind, digest: to, previous, when, by, from } = move;
  const line = JSON.stringify({ place: place.key, tag: place.tag, kind, digest: to, previous, when, by, from });
  try {
    await mkdir(join(kit.home, 'history'), { recursive: true, mode: 0o700 });
    await appendFile(fileOf(kit, place), `${line}\n`, { flush: true, mode: 0o600 });
  } catch (error) {
    const message = `the move of ${place.tag} could not be noted in ${join(kit.home, 'history')}: ${(error as Error).message}`;
    call.onEvent?.({ type: 'warning', code: 'HISTORY_NOT_WRITTEN', message });
  }
}

/** What this machine noted of a tag, oldest first. A line that is damaged (a torn write) is left out with a warning. */
export async function readJournal(kit: Kit, place: Pick<TagPlace, 'key' | 'tag'>, call: CallOptions): Promise<TagMove[]> {
  const file = fileOf(kit, place);
  const text = await readEnd(file);
  if (text === '') return [];
  // most runs only write
  const { parseLine } = await import('./journal-line.ts');
  const moves: TagMove[] = [];
  for (const line of text.split('\n')) {
    if (line === '') continue;
    const noted = parseLine(line);
    if (noted === undefined) {
      call.onEvent?.({ type: 'warning', code: 'RECORD_IGNORED', message: `${file}: a line that is damaged is left out` });
      continue;
    }
    const { place: key, tag, previous, by, from, ...rest } = noted;
    if (key === place.key && tag === place.tag) moves.push({ ...rest, previous: previous ?? undefined, by, from, evidence: 'journal' });
  }
  return moves;
}

async function readEnd(file: string): Promise<string> {
  try {
    await using handle = await open(file, 'r');
    const { size } = await handle.stat();
    const start = Math.max(0, size - MAX_BYTES);
    const bytes = Buffer.alloc(size - start);
    const { bytesRead } = await handle.read(bytes, 0, bytes.byteLength, start);
    const text = bytes.subarray(0, bytesRead).toString('utf8');
    return start === 0 ? text : text.slice(text.indexOf('\n') + 1);
  } catch {
    // without a journal, or one that may not be read, there are the records
    return '';
  }
}

/** The same target, with each tag that moves noted, as one of a registry or of the store. What only lists signatures is not. */
export function journaled(kit: Kit, target: Target, where: 'registry' | 'store', call: CallOptions = {}): Target {
  const key = keyOf(target, where);
  return {
    name: target.name,
    can: target.can,
    has: async (...args) => await target.has(...args),
    fetch: async (...args) => await target.fetch(...args),
    resolve: async (...args) => await target.resolve(...args),
    push: async (...args) => await target.push(...args),
    tag: async (manifest, tag, options) => {
      if (isReferrersTag(tag)) return await target.tag(manifest, tag, options);
      const previous = await target.resolve(tag, options).catch((error: unknown) => {
        // missing, or damaged: it is going to be replaced
        if (isKitError(error)) return undefined;
        throw error;
      });
      if (previous?.digest === manifest.digest) return;
      await target.tag(manifest, tag, options);
      // a tag that is new has no past
      if (previous === undefined) return;
      const last = (await readJournal(kit, { key, tag }, call)).at(-1);
      const move = { kind: 'move', digest: manifest.digest, previous: previous.digest, when: timeAfter(last) } as const;
      await noteMove(kit, { key, tag }, { ...move, by: undefined, from: undefined }, call);
    },
  };
}
