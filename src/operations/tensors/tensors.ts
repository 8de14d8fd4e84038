import type { CallOptions } from '../../events.ts';
import { KitError } from '../../errors.ts';
import type { RemoteEntry } from '../../kitfile/types.ts';
import { type ModelSummary, summarise } from '../../model-files/summary.ts';
import { checkTensorCount } from '../../model-files/tensor.ts';
import type { Digest } from '../../oci/digest.ts';
import type { Location } from '../../oci/reference.ts';
import { runAll } from '../../targets/run-all.ts';
import { loadLayers } from '../artifact/artifact-layers.ts';
import type { Kit } from '../kit.ts';
import type { SourcedLayer } from '../artifact/layer-bytes.ts';
import type { Lookup } from '../artifact/open-location.ts';
import { shownPlace, warnOfRemote } from '../remote-content/entry.ts';
import { BlobReader, type ReadTally } from './blob.ts';
import { type LayerTensors, mayHoldTensors, readLayerTensors, type TensorFile, type UnreadFile } from './layer.ts';

/** What the headers of an artifact's model say. */
export interface TensorsResult {
  readonly reference: string;
  readonly digest: Digest;
  readonly summary: ModelSummary;
  /** In the order of the layers. */
  readonly files: readonly TensorFile[];
  readonly unread: readonly UnreadFile[];
  /** What it took: requests for parts of layers, and their bytes. */
  readonly read: Readonly<ReadTally>;
}

/** Layers that were read before, in this call. */
export type ReadLayers = Map<string, Promise<LayerTensors>>;

export interface TensorsOptions {
  readonly known?: ReadLayers;
  /** True: files of the model that stay elsewhere are read there. */
  readonly includeRemote?: boolean;
}

/**
 * The tensors of a model, from the headers of its files: layers are read in parts, and nothing is stored. Follows `model.path` to
 * another ModelKit. @throws KitError LAYER_INVALID | LIMIT_EXCEEDED for headers that lie, UNSUPPORTED for a model that stays elsewhere as
 * a whole and is not to be read there, and as `inspect`
 */
export async function inspectTensors(
  kit: Kit,
  location: Location,
  lookup: Lookup,
  call: CallOptions = {},
  { known = new Map(), includeRemote = false }: TensorsOptions = {},
): Promise<TensorsResult> {
  const { name, artifact, layers: all, elsewhere } = await loadLayers(kit, location, lookup, call);
  const layers = all.filter(({ layer }) => mayHoldTensors(layer));
  const models = elsewhere.filter(({ role }) => role === 'model');
  if (!includeRemote) requireTensorsHere(name, layers, models, call);
  const tally: ReadTally = { requests: 0, bytes: 0 };
  const found: LayerTensors[] = [];
  let tensors = 0;
  await runAll([...layers.entries()], kit.concurrency, call.signal, async ([index, item], signal) => {
    const result = await readOnce(item, tally, { ...call, signal }, known);
    found[index] = result;
    tensors += result.files.reduce((sum, file) => sum + file.tensors.length, 0);
    checkTensorCount(name, undefined, tensors);
  });
  if (includeRemote && models.length > 0) {
    // what reads from afar is loaded where it is asked for
    const { remoteTensors } = await import('./remote.ts');
    found.push(await remoteTensors(kit, name, models, tally, call));
  }
  const files = found.flatMap((layer) => layer.files);
  const unread = found.flatMap((layer) => layer.unread);
  return { reference: name, digest: artifact.descriptor.digest, summary: summarise(files), files, unread, read: tally };
}

/** @throws KitError UNSUPPORTED */
function requireTensorsHere(name: string, layers: readonly SourcedLayer[], models: readonly RemoteEntry[], call: CallOptions): void {
  const hint = '`--include-remote` reads the headers there';
  const [model] = models;
  if (model === undefined) return;
  if (layers.length > 0) warnOfRemote(models, `; ${hint}`, call);
  else
    throw new KitError('UNSUPPORTED', `the model of ${name} stays at ${shownPlace(model)}: no header of it is in the ModelKit`, { hint });
}

async function readOnce({ source, layer }: SourcedLayer, tally: ReadTally, call: CallOptions, known: ReadLayers): Promise<LayerTensors> {
  const key = JSON.stringify([layer.descriptor.digest, layer.encoding, layer.compression, layer.target]);
  let reading = known.get(key);
  if (reading === undefined) {
    reading = readLayerTensors(layer, new BlobReader(source.target, layer.descriptor, tally, call));
    known.set(key, reading);
  }
  return await reading;
}
