import { KitError } from '../errors.ts';
import type { BlobSource } from '../blobs/source.ts';
import type { CallOptions, KitEvent } from '../events.ts';
import type { PackedLayer } from '../formats/types.ts';
import { Digester } from '../oci/digest.ts';
import type { Target } from '../targets/types.ts';
import { type LayerPlan, layerSource } from './plan-layers.ts';

/** A layer that is in the target now. */
export interface SavedLayer extends PackedLayer {
  /** True when the target had it already. */
  readonly existed: boolean;
}

/**
 * Brings one layer into the target: in one pass where it takes content whose digest is not known yet,
 * else by hashing first and sending only what is missing.
 */
export async function packLayer(target: Target, plan: LayerPlan, call: CallOptions): Promise<SavedLayer> {
  const id = `${plan.entry.role}:${plan.entry.index}`;
  call.onEvent?.({ type: 'blob', id, action: 'pack', label: `${plan.entry.role} ${plan.entry.path ?? '.'}`, total: plan.content.size });
  const saved = target.can.pushUnhashed ? await inOnePass(target, plan, id, call) : await hashFirst(target, plan, id, call);
  call.onEvent?.({ type: 'done', id, outcome: saved.existed ? 'exists' : 'copied' });
  return saved;
}

async function inOnePass(target: Target, plan: LayerPlan, id: string, call: CallOptions): Promise<SavedLayer> {
  const uncompressed = new Digester();
  let existed = false;
  const onEvent = (event: KitEvent): void => {
    if (event.type === 'done') existed = event.outcome === 'exists';
    else call.onEvent?.(event);
  };
  const source = layerSource(plan, (chunk) => uncompressed.update(chunk));
  const pushed = await target.can.pushUnhashed?.(plan.mediaType, counted(source, id, call), { ...call, onEvent });
  if (pushed === undefined) throw new KitError('INTERNAL', 'a target gave up a capability');
  const descriptor = { ...pushed, annotations: plan.annotations };
  const diffId = plan.compression === 'none' ? pushed.digest : uncompressed.digest();
  return { role: plan.entry.role, index: plan.entry.index, descriptor, diffId, existed };
}

async function hashFirst(target: Target, plan: LayerPlan, id: string, call: CallOptions): Promise<SavedLayer> {
  const uncompressed = new Digester();
  const compressed = new Digester();
  let size = 0;
  for await (const chunk of layerSource(plan, (part) => uncompressed.update(part)).open(undefined, call.signal)) {
    compressed.update(chunk);
    size += chunk.byteLength;
  }
  const digest = compressed.digest();
  const descriptor = { mediaType: plan.mediaType, digest, size, annotations: plan.annotations };
  const existed = await target.has(descriptor, call);
  if (!existed) await target.push(descriptor, counted({ ...layerSource(plan), size }, id, call), call);
  const diffId = plan.compression === 'none' ? digest : uncompressed.digest();
  return { role: plan.entry.role, index: plan.entry.index, descriptor, diffId, existed };
}

/** The source, with its bytes counted as they are read. */
function counted(source: BlobSource, id: string, { onEvent }: CallOptions): BlobSource {
  if (onEvent === undefined) return source;
  return {
    size: source.size,
    async *open(range, signal) {
      for await (const chunk of source.open(range, signal)) {
        onEvent({ type: 'bytes', id, delta: chunk.byteLength });
        yield chunk;
      }
    },
  };
}
