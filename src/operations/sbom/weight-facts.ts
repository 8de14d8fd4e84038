import { open } from 'node:fs/promises';
import { posix } from 'node:path';
import type { WalkEntry } from '../../blobs/walk.ts';
import { isKitError, KitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import type { ModelFacts } from '../../formats/model-facts.ts';
import { readModelFacts } from '../../model-files/model-facts.ts';
import type { ReadAt } from '../../model-files/read-at.ts';
import { isModelFile } from '../../model-files/read-model-file.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import type { ReadTarget } from '../../targets/types.ts';
import { archivedFiles } from '../tensors/archive.ts';
import { BlobReader, type ReadTally } from '../tensors/blob.ts';

/** A layer whose content may be weights. */
export interface WeightLayer {
  /** Of the file, where it is one. */
  readonly path: string;
  readonly descriptor: Descriptor;
}

const ARCHIVE = /[.]tar$/;

/** What the weights in uncompressed layers of a target say of themselves, by their headers. Files that lie are named in a warning. */
export async function factsOfLayers(
  target: ReadTarget,
  layers: readonly WeightLayer[],
  call: CallOptions,
): Promise<ModelFacts | undefined> {
  const tally: ReadTally = { requests: 0, bytes: 0 };
  const silent = call.signal === undefined ? {} : { signal: call.signal };
  return await explained(call, async () => {
    const files: ReadAt[] = [];
    for (const { path, descriptor } of layers) {
      const isArchive = ARCHIVE.test(descriptor.mediaType);
      if (!isArchive && !isModelFile(path)) continue;
      const reader = new BlobReader(target, descriptor, tally, silent);
      if (!isArchive) files.push(partOf(reader, path, 0, descriptor.size));
      else
        for await (const file of archivedFiles(reader))
          if (isModelFile(file.path)) files.push(partOf(reader, file.path, file.start, file.size));
    }
    return await readModelFacts(files);
  });
}

function partOf(reader: BlobReader, path: string, offset: number, size: number): ReadAt {
  return { name: posix.normalize(path), size, read: async (start, end) => await reader.read(offset + start, offset + end) };
}

/** The same of files that are about to be packed. */
export async function factsOfFiles(entries: readonly WalkEntry[], call: CallOptions): Promise<ModelFacts | undefined> {
  const files = entries.filter(({ type, path }) => type === 'file' && isModelFile(path));
  return await explained(
    call,
    async () => await readModelFacts(files.map(({ path, size, source }) => ({ name: path, size, read: fileReader(path, source) }))),
  );
}

function fileReader(path: string, source: string): ReadAt['read'] {
  return async (start, end) => {
    await using file = await open(source);
    const bytes = Buffer.alloc(end - start);
    const { bytesRead } = await file.read(bytes, 0, bytes.byteLength, start);
    if (bytesRead < bytes.byteLength)
      throw new KitError('SOURCE_CHANGED', `${path} became shorter while it was read`, { hint: 'pack it again' });
    return bytes;
  };
}

// weights that cannot be read can be packed all the same
async function explained(call: CallOptions, read: () => Promise<ModelFacts>): Promise<ModelFacts | undefined> {
  try {
    return await read();
  } catch (error) {
    if (!isKitError(error, 'LAYER_INVALID', 'LIMIT_EXCEEDED')) throw error;
    const message = `nothing is taken from the headers of the weights: ${error.message}`;
    call.onEvent?.({ type: 'warning', code: 'WEIGHTS_UNREAD', message });
    return undefined;
  }
}
