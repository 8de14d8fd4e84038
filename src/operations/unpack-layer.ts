import { decompress } from '../blobs/compress.ts';
import { extractTar } from '../blobs/extract.ts';
import { safePath } from '../blobs/safe-path.ts';
import type { Bytes } from '../blobs/source.ts';
import type { Staging } from '../blobs/staging.ts';
import { verified } from '../blobs/verified.ts';
import { KitError } from '../errors.ts';
import type { CallOptions } from '../events.ts';
import type { ArtifactLayer } from '../formats/types.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { type Digest, digestAlgorithm, Digester } from '../oci/digest.ts';
import type { Source } from './open-location.ts';

export interface SelectedLayer {
  readonly source: Source;
  readonly layer: ArtifactLayer;
}

/** Bytes that may still be written, shared by all layers. */
export interface Budget {
  left: number;
}

/** Streams one layer into the staging folder; digest, size and diffId have been checked when it returns. */
export async function unpackLayer({ source, layer }: SelectedLayer, staging: Staging, budget: Budget, call: CallOptions): Promise<void> {
  const { descriptor, diffId, compression } = layer;
  const { digest } = descriptor;
  if (compression === 'none' && diffId !== undefined && diffId !== digest) throw wrongDiffId(digest, diffId, digest);
  const path = layer.encoding === 'raw' || layer.target !== '' ? safePath(layer.target, `layer ${digest}`) : '';
  // a file that is kept need not be fetched
  if (layer.encoding === 'raw' && !staging.wants(path, digest)) return;

  call.onEvent?.({
    type: 'blob',
    id: digest,
    action: 'unpack',
    label: `${layer.role} ${layer.name ?? layer.path}`,
    total: descriptor.size,
  });
  const blob = new CheckedBlob(await source.target.fetch(descriptor, call), descriptor, call);
  const plain = decompress(blob.bytes(), compression, digest);
  const content = limited(compression === 'none' ? plain : withDiffId(plain, diffId, digest), budget, digest);
  if (layer.encoding === 'raw') await staging.addFile(path, layer.mode, content, digest);
  else await extractTar(content, staging, { layer: digest, base: path });
  blob.assertComplete();
  call.onEvent?.({ type: 'done', id: digest, outcome: 'copied' });
}

/** Knows whether the whole blob went by: a reader that stops early must not pass for a verified one. */
class CheckedBlob {
  readonly #source: Bytes;
  readonly #descriptor: Descriptor;
  readonly #call: CallOptions;
  #complete = false;

  constructor(source: Bytes, descriptor: Descriptor, call: CallOptions) {
    this.#source = source;
    this.#descriptor = descriptor;
    this.#call = call;
  }

  async *bytes(): AsyncGenerator<Uint8Array> {
    const { signal, onEvent } = this.#call;
    for await (const chunk of verified(this.#source, this.#descriptor)) {
      signal?.throwIfAborted();
      onEvent?.({ type: 'bytes', id: this.#descriptor.digest, delta: chunk.byteLength });
      yield chunk;
    }
    this.#complete = true;
  }

  assertComplete(): void {
    if (!this.#complete) throw new KitError('LAYER_INVALID', `${this.#descriptor.digest}: the layer has data after its end`);
  }
}

async function* withDiffId(bytes: Bytes, diffId: Digest | undefined, layer: Digest): AsyncGenerator<Uint8Array> {
  if (diffId === undefined) {
    yield* bytes;
    return;
  }
  const digester = new Digester(digestAlgorithm(diffId));
  for await (const chunk of bytes) {
    digester.update(chunk);
    yield chunk;
  }
  const actual = digester.digest();
  if (actual !== diffId) throw wrongDiffId(layer, diffId, actual);
}

function wrongDiffId(layer: Digest, diffId: Digest, actual: Digest): KitError {
  return new KitError('DIGEST_MISMATCH', `${layer}: the config gives the diffId ${diffId}, but the uncompressed layer has ${actual}`, {
    hint: 'the artifact contradicts itself; ask for it to be packed again',
  });
}

async function* limited(bytes: Bytes, budget: Budget, layer: Digest): AsyncGenerator<Uint8Array> {
  for await (const chunk of bytes) {
    budget.left -= chunk.byteLength;
    if (budget.left < 0) {
      throw new KitError('LIMIT_EXCEEDED', `${layer}: the layer unpacks to more than the limit allows`, {
        hint: 'nothing was written; raise `--max-size` if you trust the artifact',
      });
    }
    yield chunk;
  }
}
