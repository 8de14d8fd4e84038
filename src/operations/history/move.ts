import type { Digest } from '../../oci/digest.ts';

/** One time that a tag was put on a manifest. */
export interface TagMove {
  readonly kind: 'promotion' | 'rollback' | 'move';
  /** Where the tag went. */
  readonly digest: Digest;
  /** Where it was; undefined when it was new. */
  readonly previous: Digest | undefined;
  /** RFC 3339, UTC, with milliseconds. Never earlier than the move before. */
  readonly when: string;
  readonly by: string | undefined;
  /** The reference that was promoted, or that was gone back to. */
  readonly from: string | undefined;
  /** A referrer of the manifest, or what this machine noted. */
  readonly evidence: 'record' | 'journal';
  /** Record: the manifest that refers. */
  readonly record?: Digest;
  /** Record: it carries a signature. Nobody has verified it. */
  readonly signed?: boolean;
}

/** A time for a new move: now, but after the last one, whatever the clock of another machine said. */
export function timeAfter(last: TagMove | undefined, now = Date.now()): string {
  return new Date(last === undefined ? now : Math.max(now, Date.parse(last.when) + 1)).toISOString();
}
