import { reflink } from '../blobs/reflink.ts';
import { type BlobSource, type Bytes, bytesSource } from '../blobs/source.ts';
import { isKitError, KitError } from '../errors.ts';
import type { BlobAction, CallOptions } from '../events.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { digestHex } from '../oci/digest.ts';
import type { Index, Manifest } from '../oci/manifest.ts';
import { ANNOTATION } from '../oci/media-types.ts';
import { type CopyPlan, planCopy } from './copy-plan.ts';
import { runAll } from './run-all.ts';
import type { ReadTarget, Target } from './types.ts';

export interface CopyOptions extends CallOptions {
  /** Blobs at a time; 5 unless told. */
  readonly concurrency?: number | undefined;
  /** Copies only the children for which this holds. A manifest that lost a child is not copied itself, and then cannot be tagged. */
  readonly select?: ((child: Descriptor, parent: Manifest | Index) => boolean) | undefined;
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
  const root = await from('source', async () => await src.resolve(reference, options));
  await using _lease = await leaseOf(dst, options);
  const { complete } = await copyPlanned(src, root, dst, options);
  if (!complete && tags.length > 0) {
    throw new KitError('INTERNAL', `${root.digest} was copied in part to ${dst.name} and cannot be tagged \`${tags.join(',')}\``);
  }
  for (const tag of tags)
    await from('destination', async () => {
      await dst.tag(root, tag, options);
    });
  return root;
}

/** Copies `root` and all below it, without a tag. */
export async function copyGraph(src: ReadTarget, root: Descriptor, dst: Target, options: CopyOptions = {}): Promise<void> {
  await using _lease = await leaseOf(dst, options);
  await copyPlanned(src, root, dst, options);
}

/** A store whose garbage others may collect is asked to keep what is found or put there until it is listed. */
async function leaseOf(dst: Target, options: CallOptions): Promise<AsyncDisposable | undefined> {
  return await from('destination', async () => await dst.can.lease?.(options));
}

async function copyPlanned(src: ReadTarget, root: Descriptor, dst: Target, options: CopyOptions): Promise<CopyPlan> {
  const plan = await from('source', async () => await planCopy(src, root, options));
  const all = [...plan.blobs, ...plan.manifests.map(({ descriptor }) => descriptor)];
  options.onEvent?.({ type: 'plan', blobs: all.length, bytes: all.reduce((sum, { size }) => sum + size, 0) });
  await runAll(plan.blobs, options.concurrency ?? 5, options.signal, async (blob, signal) => {
    await copyBlob(blob, fetchedFrom(src, blob), dst, { ...options, signal });
  });
  // each after all that it names: a registry may refuse it otherwise, and a reader may find it
  for (const { descriptor, bytes } of plan.manifests) {
    options.signal?.throwIfAborted();
    await copyBlob(descriptor, bytesSource(bytes), dst, { ...options, mountFrom: undefined });
  }
  return plan;
}

async function copyBlob(blob: Descriptor, source: BlobSource, dst: Target, options: CopyOptions): Promise<void> {
  const { onEvent, action = 'push', label = defaultLabel } = options;
  const id = blob.digest;
  onEvent?.({ type: 'blob', id, action, label: label(blob), total: blob.size });
  if (await from('destination', async () => await dst.has(blob, options))) {
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

function fetchedFrom(src: ReadTarget, blob: Descriptor): BlobSource {
  return {
    size: blob.size,
    async *open(range, signal) {
      yield* await src.fetch(blob, { signal, ...(range === undefined ? {} : { range }) });
    },
    cloneTo: async (path) => {
      const file = src.can.localPath?.(blob);
      return file !== undefined && (await reflink(file, path));
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
    open: async function* open(range, signal): Bytes {
      moveTo(range?.start ?? 0);
      try {
        for await (const chunk of source.open(range, signal)) {
          yield chunk;
          moveTo(position + chunk.byteLength);
        }
      } catch (error) {
        throw withOrigin(error, 'source');
      }
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
