import { KitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import type { Digest } from '../../oci/digest.ts';
import { formatLocation, type Location } from '../../oci/reference.ts';
import type { Verifier } from '../../signing/verifier.ts';
import { runAll } from '../../targets/run-all.ts';
import { type Changes, changesBetween } from './changes.ts';
import { type Attachments, type Examined, examineAll, type Outline } from './examine.ts';
import { movesBack } from './moves.ts';
import { openRepository, type RepositoryPlace, tagOf, type TagPlace } from './place.ts';
import { allTags, compareVersions, versionOf } from './versions.ts';
import type { Kit } from '../kit.ts';
import { requireOneReference } from '../artifact/references.ts';
import { recallSource, type SourceRecord } from '../artifact/source-record.ts';

export interface HistoryArguments {
  /** A repository, or one tag of it. */
  readonly location: Location;
  /** Default: by version where a tag is one, else by creation. */
  readonly order?: 'version' | 'created' | undefined;
  /** Only the newest. */
  readonly limit?: number | undefined;
  /** Says who must have signed: without it signatures are only counted. */
  readonly verifier?: Verifier | undefined;
  /** A name with a registry is looked up in local storage. */
  readonly local?: boolean;
}

export interface HistoryEntry extends Outline {
  /** Of its highest version tag. */
  readonly version: string | undefined;
  /** RFC 3339, as the artifact says. */
  readonly created: string | undefined;
  readonly description: string | undefined;
  /** Bytes of all layers. */
  readonly size: number | undefined;
  readonly attachments: Attachments | undefined;
  /** From the next older entry; undefined for the oldest, and where one of both cannot be read. */
  readonly changes: Changes | undefined;
  /** Why it cannot be read: it was removed, or is damaged. */
  readonly problem: string | undefined;
  /** The commit that it was packed in, where this machine packed it. Not part of the artifact. */
  readonly packedFrom?: SourceRecord;
}

export interface HistoryResult {
  readonly reference: string;
  /** `moves`: what is known of one tag. Else the artifacts of the repository, in this order. */
  readonly order: 'moves' | 'version' | 'created';
  /** Newest first. */
  readonly entries: readonly HistoryEntry[];
}

/**
 * The artifacts of a repository, or the moves of one of its tags as far as they are known, with what changed from each to the next. Where
 * no move of the tag is known, the artifacts of the repository up to the one that it is on. Only manifests and configs are read.
 * @throws KitError REFERENCE_NOT_FOUND | UNSUPPORTED where tags cannot be listed
 */
export async function history(kit: Kit, args: HistoryArguments, call: CallOptions = {}): Promise<HistoryResult> {
  const { location, limit = Infinity, local = false } = args;
  requireOneReference(location, 'show');
  const place = await openRepository(kit, location, local);
  const name = formatLocation(location);
  const tag = tagOf(location);
  const { tags, attachments } = await allTags(place, call);
  const examine = async (outlines: readonly Outline[]): Promise<Examined[]> =>
    await examineAll(kit, place, outlines, { attachments, verifier: args.verifier, call });
  if (tag !== undefined) {
    const moves = await movesOf(kit, { ...place, tag, name }, limit, call);
    if (moves.length > 0)
      return { reference: name, order: 'moves', entries: await withSources(kit, withChanges(await examine(moves)).slice(0, limit)) };
  } else if (tags.length === 0) throw new KitError('REFERENCE_NOT_FOUND', `${place.target.name} has no tags`);
  const order = args.order ?? (tags.some((one) => versionOf(one) !== undefined) ? 'version' : 'created');
  const outlines = await groupTags(kit, place, tags, call);
  // an order by version is known before anything is read, one by creation is not
  const sorted =
    order === 'version'
      ? await examine(upTo(outlines.toSorted(byVersion), tag).slice(0, limit + 1))
      : upToExamined(await examine(outlines), tag);
  return { reference: name, order, entries: await withSources(kit, withChanges(sorted).slice(0, limit)) };
}

/** The moves that are known, as entries, and below them where the tag was first. */
async function movesOf(kit: Kit, place: TagPlace, limit: number, call: CallOptions): Promise<Outline[]> {
  const { digest } = await place.target.resolve(place.tag, call);
  const outlines: Outline[] = [];
  let first: Digest | undefined;
  for await (const move of movesBack(kit, place, digest, call)) {
    outlines.push({ digest: move.digest, tags: [], move });
    first = move.previous;
    if (outlines.length > limit) return outlines;
  }
  return first === undefined ? outlines : [...outlines, { digest: first, tags: [] }];
}

/** One outline for each manifest, with its tags. A tag that is gone since it was listed is left out. */
async function groupTags(kit: Kit, { target }: RepositoryPlace, tags: readonly string[], call: CallOptions): Promise<Outline[]> {
  const found = new Map<Digest, string[]>();
  const digests = new Map<string, Digest>();
  await runAll(tags, kit.concurrency, call.signal, async (tag, signal) => {
    try {
      digests.set(tag, (await target.resolve(tag, { ...call, signal })).digest);
    } catch (error) {
      if (!(error instanceof KitError) || error.code !== 'REFERENCE_NOT_FOUND') throw error;
    }
  });
  for (const tag of tags) {
    const digest = digests.get(tag);
    if (digest !== undefined) found.set(digest, [...(found.get(digest) ?? []), tag]);
  }
  return [...found].map(([digest, of]) => ({ digest, tags: of }));
}

function highestVersion({ tags }: Outline): { tag: string; version: NonNullable<ReturnType<typeof versionOf>> } | undefined {
  const versions = tags.flatMap((tag) => {
    const version = versionOf(tag);
    return version === undefined ? [] : [{ tag, version }];
  });
  return versions.toSorted(compareVersions)[0];
}

/** Newest first; those without a version last, by tag. */
function byVersion(a: Outline, b: Outline): number {
  const [one, other] = [highestVersion(a), highestVersion(b)];
  if (one === undefined || other === undefined) return one === other ? byTag(a, b) : one === undefined ? 1 : -1;
  return compareVersions(one, other);
}

function byTag(a: Outline, b: Outline): number {
  return (a.tags[0] ?? '') < (b.tags[0] ?? '') ? -1 : 1;
}

/** Newest first; those without a date last, by tag. */
function byCreation(a: Examined, b: Examined): number {
  if (a.created === b.created) return byTag(a.outline, b.outline);
  if (a.created === undefined || b.created === undefined) return a.created === undefined ? 1 : -1;
  return Date.parse(b.created) - Date.parse(a.created) || byTag(a.outline, b.outline);
}

/** Without the entries that are newer than the one with the tag. @throws KitError REFERENCE_NOT_FOUND when none has it */
function upTo(outlines: readonly Outline[], tag: string | undefined): readonly Outline[] {
  return outlines.slice(tag === undefined ? 0 : outlines.findIndex(({ tags }) => tags.includes(tag)));
}

function upToExamined(examined: readonly Examined[], tag: string | undefined): Examined[] {
  const sorted = examined.toSorted(byCreation);
  return sorted.slice(tag === undefined ? 0 : sorted.findIndex(({ outline }) => outline.tags.includes(tag)));
}

function withChanges(examined: readonly Examined[]): HistoryEntry[] {
  return examined.map(({ outline, content, kitfile, attachments, description, created, problem }, index) => {
    const older = examined[index + 1];
    const children = content === undefined ? undefined : 'layers' in content ? content.layers : content.manifests;
    return {
      ...outline,
      version: highestVersion(outline)?.version.version,
      created,
      description,
      size: children?.reduce((sum, { size }) => sum + size, 0),
      attachments,
      changes:
        content === undefined || older?.content === undefined
          ? undefined
          : changesBetween({ content: older.content, kitfile: older.kitfile }, { content, kitfile }),
      problem,
    };
  });
}

/** With what this machine noted when it packed them. */
async function withSources(kit: Kit, entries: readonly HistoryEntry[]): Promise<HistoryEntry[]> {
  const all: HistoryEntry[] = [];
  for (const entry of entries) {
    const packedFrom = await recallSource(kit, entry.digest);
    all.push(packedFrom === undefined ? entry : { ...entry, packedFrom });
  }
  return all;
}
