import { isDeepStrictEqual } from 'node:util';
import { KitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import { describeVariants, labelPairs, type Variant } from '../../formats/model-index.ts';
import { type JsonValue, parseExactJson, stringifyExact } from '../../oci/json.ts';
import type { Digest } from '../../oci/digest.ts';
import { isIndexType } from '../../oci/media-types.ts';
import { formatLocation } from '../../oci/reference.ts';
import { runAll } from '../../targets/run-all.ts';
import { atDigest } from '../artifact/references.ts';
import type { Kit } from '../kit.ts';
import { pairMembers } from './pair-members.ts';
import { chooseSides, type DiffSide, type DiffSides, type OpenedIndex, type OpenedSide, openSide } from './sides.ts';

/** An artifact of an index. */
export interface IndexMember {
  /** By which the artifact can be named. */
  readonly reference: string;
  readonly digest: Digest;
  /** That it was added by. */
  readonly tag: string | undefined;
  readonly labels: Readonly<Record<string, JsonValue>>;
}

export interface MemberPair<Result> {
  /** Its labels as `key=value`, else its tag, else its digest: of the second index. */
  readonly name: string;
  readonly a: IndexMember;
  readonly b: IndexMember;
  readonly identical: boolean;
  readonly sameLabels: boolean;
  /** Undefined where both are the same, and for an index in an index. */
  readonly diff: Result | undefined;
}

/** What differs between two indexes, member by member. */
export interface IndexesDiff<Result> {
  readonly identical: boolean;
  readonly a: { readonly reference: string; readonly digest: Digest };
  readonly b: { readonly reference: string; readonly digest: Digest };
  readonly annotationsMatch: boolean;
  readonly members: readonly MemberPair<Result>[];
  readonly added: readonly IndexMember[];
  readonly removed: readonly IndexMember[];
}

type Compare<Result> = (a: DiffSide, b: DiffSide, call: CallOptions) => Promise<Result>;

/** Each costs the manifests and configs of two artifacts. */
const MAX_COMPARED = 256;

/**
 * Compares two artifacts, or the members of two indexes; of an index and an artifact the member that is the same, or the only one.
 * @throws KitError UNSUPPORTED where a choice is needed, and as `compare`
 */
export async function compareSides<Result>(
  kit: Kit,
  { a, b, labels }: DiffSides,
  compare: Compare<Result>,
  call: CallOptions,
): Promise<Result | IndexesDiff<Result>> {
  const [one, other] = await Promise.all([openSide(kit, a, call), openSide(kit, b, call)]);
  if (labels !== undefined) return await compare(...(await chooseSides(kit, [one, other], labels, call)), call);
  if (one.index !== undefined && other.index !== undefined) {
    const isPairOfArtifacts = standsForOne(one.index) && standsForOne(other.index);
    if (!isPairOfArtifacts) return await diffIndexes(kit, one, other, compare, call);
  }
  return await compare(memberLike(one, other), memberLike(other, one), call);
}

/** True for an index that is one artifact in several shapes, and no list of variants. */
function standsForOne({ only, isOfModelKits }: OpenedIndex): boolean {
  return only !== undefined && !isOfModelKits;
}

/** Of an index that is compared with an artifact: the member that is meant. @throws KitError UNSUPPORTED */
function memberLike(side: OpenedSide, other: OpenedSide): DiffSide {
  const { index, location, lookup, name } = side;
  if (index === undefined) return side;
  const { digest } = other.descriptor;
  if (index.members.some(({ descriptor }) => descriptor.digest === digest)) return { location: atDigest(location, digest), lookup };
  if (index.only !== undefined) return side;
  const members = index.members.filter(({ descriptor }) => !isIndexType(descriptor.mediaType));
  const message =
    members.length === 0
      ? `${name} is an index that lists no artifact: ${other.name} is compared with none`
      : `${name} is an index of ${members.length} artifacts, and ${other.name} is none of them:${describeVariants(members)}`;
  const byDigest = formatLocation(atDigest(location, members[0]?.descriptor.digest ?? digest));
  throw new KitError('UNSUPPORTED', message, {
    hint: `\`kit diff ${name} ${other.name} --label KEY=VALUE\` compares one of them, or name it by its digest: \`kit diff ${byDigest} ${other.name}\``,
  });
}

async function diffIndexes<Result>(
  kit: Kit,
  one: OpenedSide,
  other: OpenedSide,
  compare: Compare<Result>,
  call: CallOptions,
): Promise<IndexesDiff<Result>> {
  const { pairs, added, removed } = pairMembers(one.index?.members ?? [], other.index?.members ?? []);
  const differing = [...pairs.entries()].filter(
    ([, { a, b }]) => a.descriptor.digest !== b.descriptor.digest && isArtifact(a) && isArtifact(b),
  );
  if (differing.length > MAX_COMPARED)
    throw new KitError(
      'LIMIT_EXCEEDED',
      `${differing.length} members of ${one.name} and ${other.name} differ: ${MAX_COMPARED} are compared at most`,
      {
        hint: '`--label KEY=VALUE` compares one of them',
      },
    );
  const results = new Map<number, Result>();
  await runAll(differing, kit.concurrency, call.signal, async ([position, { a, b }], signal) => {
    results.set(position, await compare(memberOf(one, a), memberOf(other, b), { ...call, signal }));
  });
  return {
    identical: one.descriptor.digest === other.descriptor.digest,
    a: { reference: one.name, digest: one.descriptor.digest },
    b: { reference: other.name, digest: other.descriptor.digest },
    annotationsMatch: isDeepStrictEqual({ ...one.index?.content.annotations }, { ...other.index?.content.annotations }),
    members: pairs.map(({ a, b }, position) => ({
      name: nameOf(b),
      a: describe(one, a),
      b: describe(other, b),
      identical: a.descriptor.digest === b.descriptor.digest,
      sameLabels: isDeepStrictEqual(labelPairs(a.labels), labelPairs(b.labels)),
      diff: results.get(position),
    })),
    added: added.map((member) => describe(other, member)),
    removed: removed.map((member) => describe(one, member)),
  };
}

function isArtifact({ descriptor }: Variant): boolean {
  return !isIndexType(descriptor.mediaType);
}

function memberOf({ location, lookup }: OpenedSide, { descriptor }: Variant): DiffSide {
  return { location: atDigest(location, descriptor.digest), lookup };
}

function nameOf({ labels, tag, descriptor }: Variant): string {
  return labels.size > 0 ? labelPairs(labels).join(', ') : (tag ?? descriptor.digest);
}

function describe({ location }: OpenedSide, { descriptor: { digest }, labels, tag }: Variant): IndexMember {
  const json = parseExactJson(stringifyExact(labels)) as Readonly<Record<string, JsonValue>>;
  return { reference: formatLocation(atDigest(location, digest)), digest, tag, labels: json };
}
