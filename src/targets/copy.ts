import { reflink } from '../blobs/reflink.ts';
import { type BlobSource, type Bytes, type BytesIterator, bytesSource } from '../blob-source.ts';
import { tapped } from '../tapped.ts';
import { isKitError, KitError } from '../errors.ts';
import type { BlobAction, CallOptions } from '../events.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { digestHex } from '../oci/digest.ts';
import { ANNOTATION } from '../oci/media-types.ts';
import { CopyPlan, type PlannedTag } from './copy-plan.ts';
import { addReferrers } from './copy-referrers.ts';
import { plannedBlob, warnOfLimits } from './registry-limits.ts';
import { runAll } from './run-all.ts';
import type { ReadTarget, Target } from './types.ts';

export interface CopyOptions extends CallOptions {
  /** Blobs at a time; 5 unless told. */
  readonly concurrency?: number | undefined;
  /** Takes along what refers to the artifact: see addReferrers. */
  readonly referrers?: boolean | undefined;
  /** Repositories on the same registry that may hold a blob that the destination lacks. */
  readonly mountFrom?: ((blob: Descriptor) => Promise<readonly string[]>) | undefined;
  /** What events call it; `push` unless told. */
  readonly action?: BlobAction | undefined;
  /** How events name a blob; its title or digest unless told. */
  readonly label?: ((blob: Descriptor) => string) | undefined;
}

/**
 * Copies the artifact that `reference` names, with all below it, and puts `tags` on the copy. Returns its descriptor.
 * @throws KitError with `origin` set to the side that failed; the signal's reason when aborted
 */
export async function copy(
  src: ReadTarget,
  reference: string,
  dst: Target,
  tags: readonly string[],
  options: CopyOptions = {},
): Promise<Descriptor> {
  const { root, plan } = await from('source', async () => {
    const root = await src.resolve(reference, options);
    return { root, plan: await planCopy(src, [root], options) };
  });
  await copyPlanned(
    plan,
    dst,
    tags.map((tag) => ({ descriptor: root, tag })),
    options,
  );
  return root;
}

/** Reads what a copy of `roots` has to move. @throws KitError as CopyPlan.add and addReferrers */
export async function planCopy(src: ReadTarget, roots: readonly Descriptor[], options: CopyOptions = {}): Promise<CopyPlan> {
  const plan = new CopyPlan(src);
  for (const root of roots) await plan.add(root, options);
  if (options.referrers === true) await addReferrers(plan, options);
  return plan;
}

/** Moves what was planned, then puts its tags on, and after them `tags`. @throws KitError as copy */
export async function copyPlanned(plan: CopyPlan, dst: Target, tags: readonly PlannedTag[], options: CopyOptions = {}): Promise<void> {
  // a store whose garbage others may collect is asked to keep what is found or put there until it is listed
  await using _lease = await from('destination', async () => await dst.can.lease?.(options));
  await from('source', async () => await requireAbsent(plan, dst, options));
  const outgoing = [...plan.blobs.values()].map((blob) => plannedBlob(blob, options.label));
  await from('destination', async () => await warnOfLimits(dst, outgoing, options));
  options.onEvent?.({ type: 'plan', blobs: plan.blobs.size + plan.manifests.size, bytes: plan.size });
  await runAll([...plan.blobs.values()], options.concurrency ?? 5, options.signal, async (blob, signal) => {
    await copyBlob(blob, fetchedFrom(plan.src, blob, options), dst, { ...options, signal });
  });
  // each after all that it names, and referrers after their subject: a registry may refuse them otherwise
  for (const { descriptor, bytes } of plan.manifests.values()) {
    options.signal?.throwIfAborted();
    const subject = plan.referrers.get(descriptor.digest)?.subject;
    await copyBlob(descriptor, bytesSource(bytes), dst, { ...options, mountFrom: undefined }, subject);
  }
  await from('destination', async () => {
    for (const planned of plan.tags) await tellReplaced(dst, planned, options);
    for (const { descriptor, tag } of [...plan.tags, ...tags]) await dst.tag(descriptor, tag, options);
  });
}

/** What the source lacks of an index must be where the index goes. @throws KitError BLOB_NOT_FOUND */
async function requireAbsent({ absent, src }: CopyPlan, dst: Target, options: CallOptions): Promise<void> {
  // within one repository nothing goes anywhere
  if (src.name === dst.name) return;
  for (const manifest of absent.values()) {
    if (await from('destination', async () => await dst.has(manifest, options))) continue;
    throw new KitError('BLOB_NOT_FOUND', `the index lists ${manifest.digest}, which neither ${src.name} nor ${dst.name} has`, {
      hint: `copy it there first: an index need not hold all that it lists, but where it goes that must be`,
    });
  }
}

/** A tag that comes along was not asked for by name: what it pointed at before is told, since nothing else may. */
async function tellReplaced(dst: Target, { descriptor, tag }: PlannedTag, options: CallOptions): Promise<void> {
  const before = await dst.resolve(tag, options).catch((error: unknown) => {
    if (isKitError(error, 'REFERENCE_NOT_FOUND')) return undefined;
    throw error;
  });
  if (before === undefined || before.digest === descriptor.digest) return;
  const message = `${dst.name}:${tag} moves to ${descriptor.digest}; it was ${before.digest}, whose signatures stay under that digest`;
  options.onEvent?.({ type: 'warning', code: 'TAG_MOVED', message });
}

async function copyBlob(blob: Descriptor, source: BlobSource, dst: Target, options: CopyOptions, subject?: Descriptor): Promise<void> {
  const { onEvent, action = 'push', label = defaultLabel } = options;
  const id = blob.digest;
  onEvent?.({ type: 'blob', id, action, label: label(blob), total: blob.size });
  if (await from('destination', async () => await isThere(dst, blob, subject, options))) {
    onEvent?.({ type: 'done', id, outcome: 'exists' });
    return;
  }
  for (const repository of dst.can.mount === undefined ? [] : ((await options.mountFrom?.(blob)) ?? [])) {
    if (!(await from('destination', async () => await dst.can.mount?.(blob, repository, options)))) continue;
    onEvent?.({ type: 'done', id, outcome: 'mounted' });
    return;
  }
  await from('destination', async () => {
    await dst.push(blob, counted(source, id, options), options);
  });
  onEvent?.({ type: 'done', id, outcome: 'copied' });
}

/** A referrer is there only when it is listed as one: another tool may have copied it without that. */
async function isThere(dst: Target, blob: Descriptor, subject: Descriptor | undefined, options: CallOptions): Promise<boolean> {
  if (!(await dst.has(blob, options))) return false;
  if (subject === undefined || dst.can.referrers === undefined) return true;
  for await (const { digest } of dst.can.referrers(subject, options)) if (digest === blob.digest) return true;
  return false;
}

function fetchedFrom(src: ReadTarget, blob: Descriptor, { onEvent }: CallOptions): BlobSource {
  return {
    size: blob.size,
    open: (range, signal) => onceOpened(async () => await src.fetch(blob, { signal, onEvent, ...(range === undefined ? {} : { range }) })),
    cloneTo: async (path) => {
      const file = src.can.localPath?.(blob);
      return file !== undefined && (await reflink(file, path));
    },
  };
}

/** The bytes of a stream that is still to be opened, with no step of its own for each chunk. */
function onceOpened(open: () => Promise<Bytes>): Bytes {
  return {
    [Symbol.asyncIterator]() {
      let inner: BytesIterator | undefined;
      let opening: Promise<BytesIterator> | undefined;
      return {
        next: () =>
          inner?.next() ?? (opening = open().then((bytes) => (inner = bytes[Symbol.asyncIterator]()))).then((first) => first.next()),
        readNow: (piece) => inner?.readNow?.(piece) ?? 0,
        move: async (move) => await inner?.move?.(move),
        return: async () => {
          // it may be asked for while the stream is being opened
          await opening?.catch(() => undefined);
          return (await inner?.return?.()) ?? { done: true, value: undefined };
        },
      };
    },
  };
}

/** Reports each byte of the blob once, whatever ranges are read and however often, and marks errors as the source's. */
function counted(source: BlobSource, id: string, { onEvent }: CallOptions): BlobSource {
  let position = 0;
  const moveTo = (next: number): void => {
    if (next !== position) onEvent?.({ type: 'bytes', id, delta: next - position });
    position = next;
  };
  return {
    size: source.size,
    open: (range, signal) => {
      moveTo(range?.start ?? 0);
      return tapped(source.open(range, signal), {
        taken: (count) => moveTo(position + count),
        failed: (error) => withOrigin(error, 'source'),
      });
    },
    cloneTo: async (path) => {
      const isCloned = (await source.cloneTo?.(path)) ?? false;
      if (isCloned) moveTo(source.size ?? 0);
      return isCloned;
    },
  };
}

async function from<T>(origin: 'source' | 'destination', work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    // it is the receiver that verifies, but the sender that sent something else
    throw withOrigin(error, isKitError(error, 'DIGEST_MISMATCH', 'SIZE_MISMATCH') ? 'source' : origin);
  }
}

function withOrigin(error: unknown, origin: 'source' | 'destination'): unknown {
  if (!(error instanceof KitError) || error.origin !== undefined) return error;
  const { code, message, hint, cause, stack } = error;
  const marked = new KitError(code, message, { origin, cause, ...(hint === undefined ? {} : { hint }) });
  return Object.assign(marked, stack === undefined ? {} : { stack });
}

function defaultLabel(blob: Descriptor): string {
  return blob.annotations?.[ANNOTATION.title] ?? digestHex(blob.digest).slice(0, 12);
}
