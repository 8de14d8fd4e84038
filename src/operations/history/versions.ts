import semver from 'semver';
import type { CallOptions } from '../../events.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import type { Digest } from '../../oci/digest.ts';
import { isReferrersTag } from '../../oci/referrers-tag.ts';
import type { RepositoryPlace } from './place.ts';

/**
 * The version that a tag stands for: semver.org 2.0.0, with or without `v`; `1.2` is 1.2.0. A tag has `_` where a version has `+`, as in Helm.
 * Undefined for a single number, which may be a date or a build, and for all else.
 */
export function versionOf(tag: string): semver.SemVer | undefined {
  const [, major, minor, rest = ''] = /^v?(\d+)\.(\d+)((?:\.\d+)?(?:[-_+].*)?)$/.exec(tag) ?? [];
  if (major === undefined || minor === undefined) return undefined;
  const patch = rest.startsWith('.') ? rest : `.0${rest}`;
  return semver.parse(`${major}.${minor}${patch.replace('_', '+')}`) ?? undefined;
}

/** Newest first; those that are equal by build, then by tag. */
export function compareVersions(a: { tag: string; version: semver.SemVer }, b: { tag: string; version: semver.SemVer }): number {
  return semver.rcompare(a.version, b.version) || semver.compareBuild(b.version, a.version) || (a.tag < b.tag ? -1 : 1);
}

/** Every tag of a repository but those that list referrers. Both, since the latter tell what is signed. */
export async function allTags({ target }: RepositoryPlace, call: CallOptions): Promise<{ tags: string[]; attachments: Set<string> }> {
  const found = target.can.tags === undefined ? [] : await Array.fromAsync(target.can.tags(call));
  return { tags: found.filter((tag) => !isReferrersTag(tag)).toSorted(), attachments: new Set(found.filter(isReferrersTag)) };
}

/** A release, and the one that it was before. */
export interface VersionBefore {
  readonly tag: string;
  readonly of: string;
  readonly descriptor: Descriptor;
}

/**
 * The release that is `steps` before the one that `current` is: the highest version tag on it counts, and pre-releases only for a
 * pre-release. Undefined where no version tag is on it, or there is none before.
 */
export async function versionBefore(
  place: RepositoryPlace,
  current: Digest,
  steps: number,
  call: CallOptions,
): Promise<VersionBefore | undefined> {
  const versions = (await allTags(place, call)).tags
    .flatMap((tag) => {
      const version = versionOf(tag);
      return version === undefined ? [] : [{ tag, version }];
    })
    .toSorted(compareVersions);
  let own: { tag: string; version: semver.SemVer } | undefined;
  let last = current;
  let left = steps;
  for (const one of versions) {
    if (own !== undefined && own.version.prerelease.length === 0 && one.version.prerelease.length > 0) continue;
    const descriptor = await place.target.resolve(one.tag, call);
    if (own === undefined) {
      if (descriptor.digest === current) own = one;
      continue;
    }
    // 1.2 and 1.2.0, or a version that was released again unchanged
    if (descriptor.digest === last) continue;
    last = descriptor.digest;
    if ((left -= 1) === 0) return { tag: one.tag, of: own.tag, descriptor };
  }
  return undefined;
}
