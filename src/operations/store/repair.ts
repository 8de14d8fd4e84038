import type { CallOptions } from '../../events.ts';
import type { Digest } from '../../oci/digest.ts';
import type { Checkable } from '../../targets/checkable.ts';
import type { Finding, FindingCode } from '../../targets/finding.ts';
import { leftoversOf, removeLeftover } from '../../targets/leftovers.ts';
import { findLostManifests } from '../../targets/lost-manifests.ts';
import { survey } from '../../targets/survey.ts';

const LISTS: ReadonlySet<FindingCode> = new Set(['marker-missing', 'index-missing', 'index-broken', 'index-behind']);
const MANIFESTS: ReadonlySet<FindingCode> = new Set(['manifest-missing', 'manifest-damaged', 'manifest-invalid']);

/**
 * Mends what can be mended from here, and says so in the findings: lists are rebuilt, entries without a manifest are dropped, damaged
 * blobs are moved aside so that the next transfer brings them anew, leftovers are removed. Partial downloads stay.
 */
export async function repair(target: Checkable, findings: readonly Finding[], call: CallOptions = {}): Promise<Finding[]> {
  const done = new Map<Finding, string>();
  // what is moved aside below is to stay for a look at it
  for (const leftover of await leftoversOf(target.directory)) if (leftover.kind !== 'partial') await removeLeftover(leftover);
  for (const finding of findings) if (finding.code === 'leftovers') done.set(finding, 'removed');
  for (const finding of findings) {
    const aside = await moveAside(target, finding, call);
    if (aside !== undefined) done.set(finding, `moved to ${aside}`);
  }
  if (findings.some(({ code }) => LISTS.has(code) || MANIFESTS.has(code))) {
    const dropped = await target.locked(async () => await rebuild(target, call), call);
    for (const finding of findings) {
      if (LISTS.has(finding.code))
        done.set(finding, finding.code === 'index-broken' ? `rebuilt; the old file is ${finding.path ?? ''}.broken` : 'rebuilt');
      if (finding.digest !== undefined && dropped.has(finding.digest)) done.set(finding, 'the entry was dropped');
    }
  }
  return findings.map((finding): Finding => {
    const repaired = done.get(finding);
    if (repaired === undefined) return finding;
    // a blob that was moved aside is still missing to whoever needs it
    const isOpen = finding.code === 'blob-damaged' && finding.usedBy.length > 0;
    return isOpen ? { ...finding, message: `${finding.message}; ${repaired}` } : { ...finding, repaired };
  });
}

async function moveAside(target: Checkable, { code, digest }: Finding, call: CallOptions): Promise<string | undefined> {
  if (digest === undefined || !['blob-damaged', 'manifest-damaged', 'size-wrong'].includes(code)) return undefined;
  const actual = await target.blobs.verify(digest, () => {}, call.signal).catch(() => undefined);
  return actual === undefined || actual === digest ? undefined : await target.blobs.setAside(digest);
}

/** Returns which entries it dropped. Under the lock, so everything is looked at again: entries come and go. */
async function rebuild(target: Checkable, call: CallOptions): Promise<ReadonlySet<Digest>> {
  const { roots, isIncomplete } = await target.lists();
  const { findings, uses } = await survey(target.blobs, roots, call);
  const listed = new Set(roots.map(({ descriptor }) => descriptor.digest));
  const gone = new Set<Digest>();
  for (const { code, digest } of findings) if (digest !== undefined && listed.has(digest) && MANIFESTS.has(code)) gone.add(digest);
  const lost = isIncomplete ? await findLostManifests(target.blobs, uses, call) : [];
  await target.rewrite(gone, lost);
  return gone;
}
