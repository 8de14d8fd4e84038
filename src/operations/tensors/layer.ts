import { posix } from 'node:path';
import { isKitError } from '../../errors.ts';
import type { ArtifactLayer } from '../../formats/types.ts';
import type { ModelFile } from '../../model-files/model-file.ts';
import type { ReadAt } from '../../model-files/read-at.ts';
import { isModelFile, isWeightsFile, readModelFile } from '../../model-files/read-model-file.ts';
import type { Digest } from '../../oci/digest.ts';
import { archivedFiles } from './archive.ts';
import type { BlobReader } from './blob.ts';

/** A file of a model, and the layer that it is in. */
export interface TensorFile extends ModelFile {
  /** Of a file that stays elsewhere its own digest. */
  readonly layer: Digest;
  /** Where it stays, if that is elsewhere. */
  readonly remote?: string;
  /** Bytes of its tensors. */
  readonly weights: number;
  /** True where what was read is checked against the digest of the layer; a part of a larger layer cannot be. */
  readonly verified: boolean;
}

/** What was not looked into. */
export interface UnreadFile {
  /** Of the file, or of the layer as a whole. */
  readonly path: string;
  /** Undefined for what stays elsewhere and has no digest. */
  readonly layer: Digest | undefined;
  readonly reason: string;
}

export interface LayerTensors {
  readonly files: readonly TensorFile[];
  readonly unread: readonly UnreadFile[];
}

/** True for a layer that may hold weights, or what describes them: code, docs and datasets do not. */
export function mayHoldTensors({ role, encoding, target }: ArtifactLayer): boolean {
  if (role !== 'model' && role !== 'modelpart' && role !== 'file') return false;
  return encoding === 'tar' || isModelFile(target);
}

/** The model's files in one layer, by their headers. @throws KitError LAYER_INVALID | LIMIT_EXCEEDED */
export async function readLayerTensors(layer: ArtifactLayer, reader: BlobReader): Promise<LayerTensors> {
  const { digest, size } = layer.descriptor;
  if (layer.compression !== 'none') {
    const reason = `compressed with ${layer.compression}: it has to be downloaded as a whole`;
    return { files: [], unread: [{ path: layer.path, layer: digest, reason }] };
  }
  if (layer.encoding === 'raw') return await readFile({ name: layer.target, start: 0, size }, reader);
  const files: TensorFile[] = [];
  const unread: UnreadFile[] = [];
  for await (const file of archivedFiles(reader)) {
    const name = posix.join(layer.target, file.path);
    if (!isModelFile(name)) continue;
    const found = await readFile({ name, start: file.start, size: file.size }, reader);
    files.push(...found.files);
    unread.push(...found.unread);
  }
  return { files, unread };
}

/** One file of a model, in a blob or alone. @throws KitError LAYER_INVALID | LIMIT_EXCEEDED for weights whose headers lie */
export async function readFile(
  { name, start, size }: { readonly name: string; readonly start: number; readonly size: number },
  reader: BlobReader,
): Promise<LayerTensors> {
  const layer = reader.blob.digest;
  const file: ReadAt = { name, size, read: async (from, to) => await reader.read(start + from, start + to) };
  try {
    const found = await readModelFile(file);
    if (found === undefined) return { files: [], unread: [] };
    const weights = found.tensors.reduce((sum, { bytes = 0 }) => sum + bytes, 0);
    return { files: [{ ...found, layer, weights, verified: reader.isVerified }], unread: [] };
  } catch (error) {
    // a configuration that cannot be read does not keep the weights from being shown; weights that lie do
    if (!isKitError(error, 'LAYER_INVALID', 'LIMIT_EXCEEDED') || isWeightsFile(name)) throw error;
    return { files: [], unread: [{ path: name, layer, reason: error.message }] };
  }
}
