import { labelPairs, type Variant } from '../../formats/model-index.ts';

export interface PairedMembers {
  /** In the order of the second index. */
  readonly pairs: readonly { readonly a: Variant; readonly b: Variant }[];
  readonly added: readonly Variant[];
  readonly removed: readonly Variant[];
}

/** What two members have in common, the strongest first. Undefined: nothing of the kind is known. */
const KEYS: readonly ((member: Variant) => string | undefined)[] = [
  // of several with the same labels those that are the same
  (member) => JSON.stringify([member.descriptor.digest, labelPairs(member.labels)]),
  // of an index that is not kit's: platform and kind of model
  ({ labels }) => (labels.size === 0 ? undefined : JSON.stringify(labelPairs(labels))),
  ({ descriptor }) => descriptor.digest,
  ({ tag }) => tag,
];

/** Which members of two indexes are the same one: by labels, else by digest, else by the tag that they were added by. */
export function pairMembers(a: readonly Variant[], b: readonly Variant[]): PairedMembers {
  const left = new Set(a);
  const found = new Map<Variant, Variant>();
  for (const keyOf of KEYS) {
    const known = Map.groupBy(left, keyOf);
    for (const member of b) {
      const key = keyOf(member);
      const match = found.has(member) || key === undefined ? undefined : known.get(key)?.shift();
      if (match === undefined) continue;
      found.set(member, match);
      left.delete(match);
    }
  }
  return {
    pairs: b.flatMap((member) => {
      const match = found.get(member);
      return match === undefined ? [] : [{ a: match, b: member }];
    }),
    added: b.filter((member) => !found.has(member)),
    removed: [...left],
  };
}
