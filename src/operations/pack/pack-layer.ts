import { digestOfSource } from '../../blobs/digest-source.ts';
import type { ByteRange, Bytes } from '../../blob-source.ts';
import { isKitError } from '../../errors.ts';
import type { CallOptions, KitEvent } from '../../events.ts';
import type { PackedLayer } from '../../formats/types.ts';
import { cleanLayerPath } from '../../kitfile/layer-path.ts';
import type { Digest } from '../../oci/digest.ts';
import { tapped } from '../../tapped.ts';
import type { Capabilities, Target } from '../../targets/types.ts';
import type { KnownLayer, LayerCache } from './layer-cache.ts';
import { type LayerPlan, layerSource } from './plan-layers.ts';

/** A layer that is in the target now. */
export interface SavedLayer extends PackedLayer {
  /** True when the target had it already. */
  readonly existed: boolean;
}

export interface PackLayerOptions {
  /** What layers of unchanged files became before is looked up in `lookup`, what they become now is written to `record`. */
  readonly lookup?: LayerCache | undefined;
  readonly record?: LayerCache | undefined;
  /** The target probably has most of the layers: what is sent should be looked for first, though it be read twice. */
  readonly isLikelyThere?: boolean;
}

/** One layer on its way. */
interface Job extends PackLayerOptions {
  readonly target: Target;
  readonly plan: LayerPlan;
  readonly call: CallOptions;
  readonly id: string;
}

type Placed = KnownLayer & Pick<SavedLayer, 'existed'>;

/**
 * Brings one layer into the target. Where its digest is known from earlier, nothing is read that the target has.
 * Else in one pass, where the target takes content whose digest is not known yet; or by hashing first and sending what is missing.
 */
export async function packLayer(target: Target, plan: LayerPlan, options: PackLayerOptions, call: CallOptions): Promise<SavedLayer> {
  const { entry, path, mediaType, annotations } = plan;
  const id = `${entry.role}:${entry.index}:${path}`;
  const label = `${entry.role} ${path === cleanLayerPath(entry.path) ? (entry.path ?? '.') : path}`;
  call.onEvent?.({ type: 'blob', id, action: 'pack', label, total: plan.content.size });
  const job: Job = { ...options, target, plan, call, id };
  const { digest, size, diffId, existed } = (await placeKnown(job)) ?? (await readAndPlace(job));
  call.onEvent?.({ type: 'done', id, outcome: existed ? 'exists' : 'copied' });
  return { role: entry.role, index: entry.index, path, descriptor: { mediaType, digest, size, annotations }, diffId, existed };
}

/** Undefined when nothing is known of the layer, or the files turn out to be others than those that it was made of. */
async function placeKnown(job: Job): Promise<Placed | undefined> {
  const known = await job.lookup?.find(job.plan);
  if (known === undefined) return undefined;
  try {
    return { ...known, existed: await place(job, known) };
  } catch (error) {
    if (!isKitError(error, 'DIGEST_MISMATCH', 'SIZE_MISMATCH')) throw error;
    await job.lookup?.drop(job.plan);
    return undefined;
  }
}

/** True when the target had the layer already. */
async function place(job: Job, { digest, size }: KnownLayer): Promise<boolean> {
  const { target, plan, call } = job;
  const descriptor = { mediaType: plan.mediaType, digest, size };
  const existed = await target.has(descriptor, call);
  if (!existed) await target.push(descriptor, { ...layerSource(counted(job)), size }, call);
  return existed;
}

async function readAndPlace(job: Job): Promise<Placed> {
  const { plan, isLikelyThere, record, target } = job;
  const { pushUnhashed } = target.can;
  // nothing is compressed twice
  if (pushUnhashed !== undefined && (isLikelyThere !== true || plan.compression !== 'none')) return await inOnePass(job, pushUnhashed);
  const known = await hash(job);
  await record?.add(plan, known);
  return { ...known, existed: await place(job, known) };
}

async function inOnePass(job: Job, pushUnhashed: NonNullable<Capabilities['pushUnhashed']>): Promise<Placed> {
  const { plan, call, record } = job;
  let diffId: Digest | undefined;
  let existed = false;
  const onEvent = (event: KitEvent): void => {
    if (event.type === 'done') existed = event.outcome === 'exists';
    else call.onEvent?.(event);
  };
  const source = layerSource(counted(job), (uncompressed) => (diffId = uncompressed));
  const { digest, size } = await pushUnhashed(plan.mediaType, source, { ...call, onEvent });
  const known = { digest, size, diffId: diffId ?? digest };
  await record?.add(plan, known);
  return { ...known, existed };
}

async function hash({ plan, call }: Job): Promise<KnownLayer> {
  let diffId: Digest | undefined;
  const source = layerSource(plan, (uncompressed) => (diffId = uncompressed));
  const { digest, size } = await digestOfSource(source, call.signal);
  return { digest, size, diffId: diffId ?? digest };
}

/** The plan, with its bytes counted as they are read: once each, however often that is. */
function counted({ plan, id, call: { onEvent } }: Job): LayerPlan {
  if (onEvent === undefined) return plan;
  let position = 0;
  const moveTo = (next: number): void => {
    if (next !== position) onEvent({ type: 'bytes', id, delta: next - position });
    position = next;
  };
  const { content } = plan;
  const open = (range?: ByteRange, signal?: AbortSignal): Bytes => {
    moveTo(range?.start ?? 0);
    return tapped(content.open(range, signal), { handing: (count) => moveTo(position + count) });
  };
  // a clone is hashed by reading the file, which is counted
  return { ...plan, content: { ...content, open } };
}
