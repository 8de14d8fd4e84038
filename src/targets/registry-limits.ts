import type { CallOptions } from '../events.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { ANNOTATION } from '../oci/media-types.ts';
import type { Target } from './types.ts';

/** A layer before it is sent. */
export interface PlannedBlob {
  /** A path, or a digest where nothing better is known. */
  readonly name: string;
  readonly size: number;
  /** Unknown before the layer was packed. */
  readonly descriptor?: Descriptor | undefined;
}

/** Above this rate an upload within the registry's time is a matter of luck on most links: 100 Mbit/s, nearly used up. */
const FAST_BYTES_PER_SECOND = 10e6;
const GB = 1e9;

/** Warns of layers that the registry behind `target` is known to refuse, before the first byte is sent. What it has already did fit. */
export async function warnOfLimits(target: Target, blobs: readonly PlannedBlob[], call: CallOptions): Promise<void> {
  const { limits } = target.can;
  if (limits === undefined) return;
  const { service, maxLayerBytes = Number.POSITIVE_INFINITY, uploadMinutes = Number.POSITIVE_INFINITY } = limits;
  const slow = uploadMinutes * 60 * FAST_BYTES_PER_SECOND;
  for (const { name, size, descriptor } of blobs) {
    if (size <= Math.min(maxLayerBytes, slow) || (descriptor !== undefined && (await target.has(descriptor, call)))) continue;
    const message =
      size > maxLayerBytes
        ? `${name} has ${inUnits(size)}, and ${service} takes layers of up to ${inUnits(maxLayerBytes)}: ${remedy(name, maxLayerBytes)}`
        : `${name} has ${inUnits(size)}, and ${service} breaks uploads off after ${uploadMinutes} minutes: it takes ` +
          `${Math.ceil(size / uploadMinutes / 60 / 1e6)} MB/s to get it there; smaller layers need less (${remedy(name, slow)})`;
    call.onEvent?.({ type: 'warning', code: 'LAYER_TOO_LARGE', message: `${target.name}: ${message}` });
  }
}

/** @param label how the blob is called where it is shown */
export function plannedBlob(descriptor: Descriptor, label?: (blob: Descriptor) => string): PlannedBlob {
  const { annotations = {}, digest, size } = descriptor;
  return {
    name: label?.(descriptor) ?? annotations[ANNOTATION.title] ?? annotations['org.cncf.model.filepath'] ?? digest,
    size,
    descriptor,
  };
}

function remedy(name: string, limit: number): string {
  // some room for headers, and for those who count in GiB
  const shard = Math.max(1, Math.floor((limit * 0.8) / GB));
  const where = 'or push to a registry that takes it';
  if (/\.safetensors$/i.test(name)) return `save it in shards, \`model.save_pretrained(DIR, max_shard_size="${shard}GB")\`, ${where}`;
  if (/\.gguf$/i.test(name)) return `split it, \`llama-gguf-split --split --split-max-size ${shard}G IN.gguf OUT\`, ${where}`;
  return `split it (a directory: \`kit pack --use-model-pack\` makes a layer of each file), ${where}`;
}

/** In the decimal units that registries give their limits in. */
function inUnits(bytes: number): string {
  const [unit, factor] = bytes < GB ? (['MB', 1e6] as const) : (['GB', GB] as const);
  return `${(bytes / factor).toFixed(1).replace(/\.0$/, '')} ${unit}`;
}
