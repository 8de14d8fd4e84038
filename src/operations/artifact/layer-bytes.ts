import { decompress } from '../../blobs/compress.ts';
import { RangedBytes } from '../../blobs/ranged-bytes.ts';
import type { Bytes, SkippableBytes } from '../../blob-source.ts';
import { verified } from '../../blobs/verified.ts';
import { isKitError, KitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import type { ArtifactLayer } from '../../formats/types.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import { type Digest, digestAlgorithm, Digester } from '../../oci/digest.ts';
import { tapped } from '../../tapped.ts';
import type { Source } from './open-location.ts';

/** A layer and where it is read. */
export interface SourcedLayer {
  readonly source: Source;
  readonly layer: ArtifactLayer;
}

/** The uncompressed content of a layer, for one reader. */
export interface LayerBytes {
  readonly bytes: Bytes | SkippableBytes;
  /** False: the reader decides what is fetched. */
  readonly isWhole: boolean;
  /** What is read is covered by a digest, once the reader has come to the end without an error. */
  readonly isChecked: boolean;
  /** Bytes that came from the source so far. */
  readonly fetched: number;
  /** @throws KitError LAYER_INVALID when the layer had to be read whole and was not */
  assertComplete(): void;
}

/**
 * When a large layer may be read in parts: `never`; `sound`: where it is a local file whose content was checked; `any`: where the source
 * knows how, though no digest covers what is read; `only`: as `any`, and UNSUPPORTED is thrown where the source does not know how.
 */
export type Parts = 'never' | 'sound' | 'any' | 'only';

/** Up to this size a layer is read whole: it costs no more, and it can be checked. */
const SMALL_LAYER = 1024 * 1024;

/** Opens a layer, in parts where that is allowed and the source knows how: then the reader decides what is fetched. */
export async function openLayerBytes(item: SourcedLayer, parts: Parts, call: CallOptions): Promise<LayerBytes> {
  const { source, layer } = item;
  if (parts === 'never' || !hasParts(layer)) return await openWhole(item, call);
  const isSound = parts === 'sound' && (await source.target.can.localFile?.(layer.descriptor, call)) !== undefined;
  if (parts === 'sound' && !isSound) return await openWhole(item, call);
  try {
    return await openParts(item, isSound, call);
  } catch (error) {
    if (parts === 'only' || !isKitError(error, 'UNSUPPORTED')) throw error;
    const { digest, size } = layer.descriptor;
    call.onEvent?.({
      type: 'warning',
      code: 'NO_RANGES',
      message: `${source.target.name} does not send parts of a blob: all ${size} bytes of layer ${digest} are fetched`,
    });
    return await openWhole(item, call);
  }
}

/** True when files can be had out of the layer without reading all of it, and that saves something. */
export function hasParts({ compression, encoding, descriptor }: ArtifactLayer): boolean {
  return compression === 'none' && encoding === 'tar' && descriptor.size > SMALL_LAYER;
}

async function openParts({ source, layer }: SourcedLayer, isChecked: boolean, call: CallOptions): Promise<LayerBytes> {
  const { descriptor } = layer;
  const tally = new Tally(descriptor.digest, call);
  const bytes = await RangedBytes.open(descriptor.size, descriptor.digest, async (range) =>
    tally.count(await source.target.fetch(descriptor, { ...call, range })),
  );
  return {
    bytes,
    isWhole: false,
    isChecked,
    get fetched() {
      return tally.bytes;
    },
    assertComplete() {},
  };
}

async function openWhole({ source, layer }: SourcedLayer, call: CallOptions): Promise<LayerBytes> {
  const { descriptor, diffId, compression } = layer;
  const { digest } = descriptor;
  if (compression === 'none' && diffId !== undefined && diffId !== digest) throw wrongDiffId(digest, diffId, digest);
  const blob = new CheckedBlob(await source.target.fetch(descriptor, call), descriptor, call);
  const plain = decompress(blob.bytes(), compression, digest);
  return {
    bytes: compression === 'none' ? plain : withDiffId(plain, diffId, digest),
    isWhole: true,
    isChecked: true,
    get fetched() {
      return blob.tally.bytes;
    },
    assertComplete: () => blob.assertComplete(),
  };
}

/** Counts what is fetched of one layer, and tells of it. */
class Tally {
  bytes = 0;
  readonly #digest: Digest;
  readonly #call: CallOptions;

  constructor(digest: Digest, call: CallOptions) {
    this.#digest = digest;
    this.#call = call;
  }

  count(bytes: Bytes, ended?: () => void): Bytes {
    return tapped(bytes, {
      handing: (delta) => {
        this.#call.signal?.throwIfAborted();
        this.bytes += delta;
        this.#call.onEvent?.({ type: 'bytes', id: this.#digest, delta });
      },
      ...(ended === undefined ? {} : { ended }),
    });
  }
}

/** Knows whether the whole blob went by: a reader that stops early must not pass for a verified one. */
export class CheckedBlob {
  readonly tally: Tally;
  readonly #source: Bytes;
  readonly #descriptor: Descriptor;
  #complete = false;

  constructor(source: Bytes, descriptor: Descriptor, call: CallOptions) {
    this.#source = source;
    this.#descriptor = descriptor;
    this.tally = new Tally(descriptor.digest, call);
  }

  bytes(): Bytes {
    return this.tally.count(verified(this.#source, this.#descriptor), () => (this.#complete = true));
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

/** The error for a layer whose uncompressed content is not what the config says. */
export function wrongDiffId(layer: Digest, diffId: Digest, actual: Digest): KitError {
  return new KitError('DIGEST_MISMATCH', `${layer}: the config gives the diffId ${diffId}, but the uncompressed layer has ${actual}`, {
    hint: 'the artifact contradicts itself; ask for it to be packed again',
  });
}
