import { availableParallelism } from 'node:os';
import { CODES, isKitError, KitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import { type Digest, digestHex } from '../../oci/digest.ts';
import { isManifestLike } from '../../oci/media-types.ts';
import type { Location } from '../../oci/reference.ts';
import type { Checkable } from '../../targets/checkable.ts';
import { checkableLayout } from '../../targets/checkable-layout.ts';
import { checkableStore } from '../../targets/checkable-store.ts';
import { type Finding, identityOf } from '../../targets/finding.ts';
import { type Leftover, leftoversOf } from '../../targets/leftovers.ts';
import { findLostManifests, type LostManifest } from '../../targets/lost-manifests.ts';
import { runAll } from '../../targets/run-all.ts';
import { strayFiles } from '../../targets/stray-files.ts';
import { damagedBlob, survey, type Survey, unreadableBlob } from '../../targets/survey.ts';
import type { Kit } from '../kit.ts';
import { repair } from './repair.ts';

export interface StoreCheckArguments {
  /** A layout `oci:DIR`; default: the store. */
  readonly layout?: Location;
  /** True: blobs are not read, only looked for; manifests are. */
  readonly quick?: boolean;
  /** True: also mends what can be mended without the artifacts' bytes. */
  readonly repair?: boolean;
}

export interface StoreCheckResult {
  /** `local storage`, or the layout as the user wrote it. */
  readonly name: string;
  readonly directory: string;
  /** Manifests and indexes that are listed, whether by a tag or not. */
  readonly manifests: number;
  readonly references: number;
  readonly blobs: number;
  readonly bytes: number;
  /** Of the bytes, what was read and hashed. */
  readonly verifiedBytes: number;
  readonly findings: readonly Finding[];
  /** No artifact is damaged; leftovers may be there. */
  readonly ok: boolean;
}

const MAX_STREAMS = 8;

/**
 * Looks at everything that the store or a layout holds: every list, manifest and reference, and the content of every blob. Changes nothing
 * unless asked to repair. What changes meanwhile is looked at again before it is called damaged.
 * @throws KitError PATH_NOT_FOUND | STORE_INVALID when there is nothing to check
 */
export async function checkStore(kit: Kit, args: StoreCheckArguments = {}, call: CallOptions = {}): Promise<StoreCheckResult> {
  const target = await openCheckable(kit, args.layout);
  const look = await inspect(target, args.quick === true, call);
  const findings = args.repair === true ? await repair(target, look.findings, call) : look.findings;
  const isDamaged = findings.some(({ severity, repaired }) => severity === 'damage' && repaired === undefined);
  return { name: target.name, directory: target.directory, ...look, findings, ok: !isDamaged };
}

/** @throws KitError STORE_DAMAGED unless all artifacts are well */
export function requireSound({ name, findings, ok }: StoreCheckResult): void {
  if (ok) return;
  const open = findings.filter(({ severity, repaired }) => severity === 'damage' && repaired === undefined);
  const references = new Set(open.flatMap(({ usedBy }) => usedBy));
  const what = references.size === 0 ? '' : `: ${listNames([...references])} cannot be used`;
  const command = `kit store check ${name.startsWith('oci:') ? `${name} ` : ''}--repair`;
  const hint = open[0]?.remedy.replace('`--repair`', `\`${command}\``) ?? CODES.STORE_DAMAGED.meaning;
  throw new KitError('STORE_DAMAGED', `${name} is damaged${what}`, { hint });
}

/** A few names, and how many more there are. */
export function listNames(names: readonly string[], most = 3): string {
  const shown = names.slice(0, most).join(', ');
  return names.length > most ? `${shown} and ${names.length - most} more` : shown;
}

async function openCheckable(kit: Kit, layout: Location | undefined): Promise<Checkable> {
  if (layout === undefined) return checkableStore(await kit.store());
  if (layout.type === 'layout' && layout.reference === undefined) return await checkableLayout(layout.path);
  throw new KitError('USAGE', 'only local storage and image layouts can be checked', {
    hint: 'write `kit store check` or `kit store check oci:DIR`',
  });
}

type Look = Omit<StoreCheckResult, 'name' | 'directory' | 'ok'>;

async function inspect(target: Checkable, quick: boolean, call: CallOptions): Promise<Look> {
  const { blobs, directory } = target;
  let structure = await structureOf(target, call);
  const files = new Map<Digest, number>();
  for await (const { digest, size } of blobs.list()) files.set(digest, size);
  const contents = quick ? new Map<Digest, Finding>() : await verifyAll(target, files, structure.found, call);
  if (structure.findings.some(({ severity }) => severity === 'damage') || contents.size > 0) {
    // other processes may have changed the store meanwhile: what is damage now as well counts, and nobody writes a list while we look
    structure = await target.locked(async () => await confirmed(target, structure, call), call);
  }
  const damaged = [...contents.values()].filter(({ digest, usedBy }) => usedBy.length === 0 || structure.found.uses.has(digest as Digest));
  const hashedWrong = new Set(damaged.map(({ digest }) => digest));
  // a file that was cut is both; that its content is wrong says more
  const listed = structure.findings.filter(({ code, digest }) => code !== 'size-wrong' || !hashedWrong.has(digest));
  const sizes = [...files.values()];
  const manifests = [...structure.found.uses.values()].filter(({ descriptor }) => isManifestLike(descriptor.mediaType));
  return {
    manifests: manifests.length,
    references: structure.references,
    blobs: files.size,
    bytes: sizes.reduce(sum, 0),
    verifiedBytes: quick ? manifests.reduce((total, { descriptor }) => total + descriptor.size, 0) : sizes.reduce(sum, 0),
    findings: [
      ...listed,
      ...damaged,
      ...unreached(files, structure.found, structure.lost),
      ...(await strayFiles(directory)),
      ...leftoverFindings(await leftoversOf(directory)),
    ],
  };
}

interface Structure {
  readonly references: number;
  readonly found: Survey;
  readonly lost: readonly LostManifest[];
  readonly findings: readonly Finding[];
}

async function structureOf(target: Checkable, call: CallOptions): Promise<Structure> {
  const { roots, findings, isIncomplete } = await target.lists();
  const found = await survey(target.blobs, roots, call);
  const lost = isIncomplete ? await findLostManifests(target.blobs, found.uses, call) : [];
  const withLost = findings.map((finding): Finding => {
    if (lost.length === 0 || !finding.code.startsWith('index-')) return finding;
    const message = `${finding.message}; ${lost.length} artifacts here are listed nowhere`;
    return { ...finding, severity: 'damage', message };
  });
  return { references: roots.length, found, lost, findings: [...withLost, ...found.findings] };
}

async function confirmed(target: Checkable, before: Structure, call: CallOptions): Promise<Structure> {
  const now = await structureOf(target, call);
  const seen = new Set(before.findings.map(identityOf));
  return { ...now, findings: now.findings.filter((finding) => seen.has(identityOf(finding))) };
}

/** Reads every file, several side by side, the largest first. Manifests that are listed were read already. */
async function verifyAll(
  { blobs }: Checkable,
  files: ReadonlyMap<Digest, number>,
  { uses }: Survey,
  call: CallOptions,
): Promise<Map<Digest, Finding>> {
  const found = new Map<Digest, Finding>();
  const order = [...files]
    .filter(([digest]) => !isManifestLike(uses.get(digest)?.descriptor.mediaType ?? ''))
    .toSorted(([, a], [, b]) => b - a);
  call.onEvent?.({ type: 'plan', blobs: order.length, bytes: order.reduce((total, [, size]) => total + size, 0) });
  await runAll(order, Math.min(availableParallelism(), MAX_STREAMS), call.signal, async ([digest, size], signal) => {
    call.onEvent?.({ type: 'blob', id: digest, action: 'hash', label: digestHex(digest).slice(0, 12), total: size });
    const finding = await verifyOne(blobs, digest, [...(uses.get(digest)?.usedBy ?? [])], { ...call, signal });
    call.onEvent?.({ type: 'done', id: digest, outcome: 'copied' });
    if (finding !== undefined) found.set(digest, finding);
  });
  return found;
}

async function verifyOne(blobs: Checkable['blobs'], digest: Digest, usedBy: string[], call: CallOptions): Promise<Finding | undefined> {
  const path = blobs.pathOf(digest);
  const onBytes = (delta: number): void => call.onEvent?.({ type: 'bytes', id: digest, delta });
  try {
    let actual = await blobs.verify(digest, onBytes, call.signal);
    // once more: it may have been replaced meanwhile, and memory fails too
    if (actual !== undefined && actual !== digest) actual = await blobs.verify(digest, () => {}, call.signal);
    // one that is gone was removed, or is reported as missing
    return actual === undefined || actual === digest ? undefined : damagedBlob(digest, path, usedBy, actual);
  } catch (error) {
    call.signal?.throwIfAborted();
    if (!isKitError(error)) throw error;
    return unreadableBlob(digest, path, usedBy, error);
  }
}

function unreached(files: ReadonlyMap<Digest, number>, { uses }: Survey, lost: readonly LostManifest[]): Finding[] {
  if (lost.length > 0) return [];
  const rest = [...files].filter(([digest]) => !uses.has(digest));
  if (rest.length === 0) return [];
  const bytes = rest.reduce((total, [, size]) => total + size, 0);
  return [note('unreached', `${count(rest.length, 'blob')} that no manifest reaches (${bytes} bytes)`, '`kit store prune` removes them')];
}

function leftoverFindings(leftovers: readonly Leftover[]): Finding[] {
  const partials = leftovers.filter(({ kind }) => kind === 'partial');
  const others = leftovers.filter(({ kind }) => kind !== 'partial');
  const found: Finding[] = [];
  if (others.length > 0) {
    const what = `${count(others.length, 'file')} left by processes that died or moved aside (${bytesOf(others)} bytes)`;
    found.push(note('leftovers', what, '`kit store prune` removes them'));
  }
  if (partials.length > 0) {
    const what = `${count(partials.length, 'broken-off download')} (${bytesOf(partials)} bytes)`;
    found.push(note('partials', what, 'the next pull goes on with it; `kit store prune --partials` removes it'));
  }
  return found;
}

function bytesOf(leftovers: readonly Leftover[]): number {
  return leftovers.reduce((total, { bytes }) => total + bytes, 0);
}

function note(code: Finding['code'], message: string, remedy: string): Finding {
  return { code, severity: 'note', usedBy: [], message, remedy };
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`;
}

function sum(a: number, b: number): number {
  return a + b;
}
