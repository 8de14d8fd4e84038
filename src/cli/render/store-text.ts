import { listNames, type StoreCheckResult } from '../../operations/store/check.ts';
import type { StoreInfo } from '../../operations/store/info.ts';
import type { StorePruneResult } from '../../operations/store/prune.ts';
import { singleLine } from './plain-text.ts';
import { formatBytes, formatTable } from './text.ts';

/** One line for each finding, and one for all. */
export function checkLines({ name, findings, manifests, references, blobs, bytes, verifiedBytes }: StoreCheckResult): string[] {
  const lines = findings.map(({ severity, digest, path, usedBy, message, remedy, repaired }) => {
    const what = digest ?? path;
    const users = usedBy.length === 0 ? '' : ` (${listNames(usedBy)})`;
    const subject = what === undefined ? '' : `${what}${users}: `;
    const end = repaired === undefined ? remedy : `repaired: ${repaired}`;
    return singleLine(`${severity === 'damage' ? 'damage' : 'note'}: ${subject}${message}; ${end}`);
  });
  const open = findings.filter(({ repaired }) => repaired === undefined);
  const damages = open.filter(({ severity }) => severity === 'damage').length;
  const fixed = findings.length - open.length;
  const verdict = damages === 0 ? 'all artifacts are well' : plural(damages, 'damage');
  const more = fixed === 0 ? '' : `, ${fixed} repaired`;
  const read = verifiedBytes === bytes ? '' : `, ${formatBytes(verifiedBytes)} of them read`;
  return [
    ...lines,
    `checked ${name}: ${plural(references, 'reference')}, ${plural(manifests, 'manifest')}, ${plural(blobs, 'blob')} (${formatBytes(bytes)}${read}): ${verdict}${more}`,
  ];
}

export function pruneLines({ dryRun, untagged, blobs, leftovers, cacheEntries, bytes }: StorePruneResult): string[] {
  const verb = dryRun ? 'Would remove' : 'Removed';
  const counts = [plural(untagged.length, 'untagged ModelKit'), plural(blobs.length, 'blob'), plural(leftovers.length, 'leftover')];
  return [
    ...untagged.map((name) => `${verb} ${name}`),
    ...blobs.map(({ digest, size }) => `${verb} blob ${digest} (${formatBytes(size)})`),
    ...leftovers.map(({ path, kind, bytes: size }) => singleLine(`${verb} ${kind} ${path} (${formatBytes(size)})`)),
    `${dryRun ? 'Would free' : 'Freed'} ${formatBytes(bytes)}: ${counts.join(', ')}, ${plural(cacheEntries, 'cache entry', 'cache entries')}`,
  ];
}

export function infoLines(info: StoreInfo): string[] {
  const { fileSystem: disk, reclaimable, partials, leftovers, caches } = info;
  const saved = Math.max(0, info.unsharedBytes - info.bytes);
  const reflinks = disk.reflinks === undefined ? 'unknown' : disk.reflinks ? 'yes' : 'no';
  const rows = [
    ['storage', `${info.storage}${info.exists ? '' : ' (nothing was written yet)'}`],
    ['file system', `${disk.type}, ${formatBytes(disk.freeBytes)} free of ${formatBytes(disk.totalBytes)}, reflinks: ${reflinks}`],
    ['ModelKits', `${info.manifests} in ${plural(info.repositories, 'repository', 'repositories')}, ${info.untagged} without a tag`],
    ['tags', String(info.tags)],
    ['blobs', `${info.blobs}, ${formatBytes(info.bytes)} (${formatBytes(info.diskBytes)} on disk, ${formatBytes(saved)} saved by sharing)`],
    ['reclaimable', reclaimable === undefined ? 'unknown' : reclaimableText(reclaimable)],
    ['partial downloads', `${partials.files}, ${formatBytes(partials.bytes)}`],
    ['leftovers', `${leftovers.files}, ${formatBytes(leftovers.bytes)}`],
    ['layer cache', cacheText(caches.layers)],
    ['Kitfile texts', cacheText(caches.kitfiles)],
    ['git commits', cacheText(caches.sources)],
    ['at work', info.holders.length === 0 ? 'nobody' : info.holders.map(holderText).join('; ')],
  ];
  return formatTable(rows).map(singleLine);
}

function reclaimableText({ bytes, blobs, untagged }: NonNullable<StoreInfo['reclaimable']>): string {
  return `${formatBytes(bytes)} (${plural(blobs, 'blob')}, ${plural(untagged, 'untagged ModelKit')})`;
}

function cacheText({ entries, stale, bytes }: StoreInfo['caches']['layers']): string {
  return `${plural(entries, 'entry', 'entries')}, ${stale} stale, ${formatBytes(bytes)}`;
}

function holderText({ what, pid, host, since }: StoreInfo['holders'][number]): string {
  const who = pid === undefined ? 'another process' : `process ${pid} on ${host ?? '?'}`;
  return `${who}, ${what}${since === undefined ? '' : ` since ${since}`}`;
}

function plural(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}
