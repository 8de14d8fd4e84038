import type { Bytes } from '../blob-source.ts';
import { releaseChunk } from '../chunk.ts';
import { KitError } from '../errors.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { type Digest, digestAlgorithm } from '../oci/digest.ts';
import { StreamDigester } from '../oci/stream-digester.ts';
import type { FetchOptions, ReadTarget } from './types.ts';

/** How far a blob was hashed. */
interface Progress {
  readonly digester: StreamDigester;
  position: number;
  /** The last bytes were right. */
  complete: boolean;
  /** Reads of the blob that were begun: one that was given up must hash no more. */
  reads: number;
}

/**
 * `src` for a receiver that does not hash what it gets, such as the stream to a registry: the last bytes of a blob are handed out only
 * when all of it has the digest that names it, so that nothing else can be completed. A read that goes on in the middle, as after a
 * broken upload, goes on hashing from where the reads before it came to; what they had is not hashed twice.
 * `fetch` then throws SIZE_MISMATCH and DIGEST_MISMATCH.
 */
export function verifiedReads(src: ReadTarget): ReadTarget {
  const progress = new Map<Digest, Progress>();
  return {
    name: src.name,
    can: src.can,
    has: async (blob, options) => await src.has(blob, options),
    resolve: async (reference, options) => await src.resolve(reference, options),
    // lazily, so that a read that is never begun hashes nothing
    fetch: async (blob, options = {}) => await Promise.resolve(read(src, blob, options, progress)),
  };
}

async function* read(
  src: ReadTarget,
  blob: Descriptor,
  options: FetchOptions,
  all: Map<Digest, Progress>,
): Bytes & AsyncGenerator<Uint8Array> {
  const { start, end } = options.range ?? { start: 0, end: blob.size };
  const state = begin(blob, start, all);
  const mine = (state.reads += 1);
  let position = Math.min(start, state.position);
  const { range: _, ...whole } = options;
  // without a range where none is needed: that is what caches on the way keep
  const part = position === 0 && end === blob.size ? whole : { ...whole, range: { start: position, end } };
  for await (const chunk of await src.fetch(blob, part)) {
    if (state.reads !== mine) return;
    const fresh = chunk.subarray(Math.max(0, state.position - position));
    const wanted = chunk.subarray(Math.max(0, Math.min(chunk.byteLength, start - position)));
    position += chunk.byteLength;
    if (position > blob.size) throw sizeMismatch(blob, `more than ${blob.size}`);
    if (fresh.byteLength > 0) {
      state.position += fresh.byteLength;
      await state.digester.update(fresh);
    }
    if (position === blob.size) await confirm(blob, state);
    if (wanted.byteLength > 0) yield wanted;
    else releaseChunk(chunk);
  }
  if (position < end) throw sizeMismatch(blob, String(position));
  if (position === blob.size) await confirm(blob, state);
}

/** From the beginning the source may send other bytes than it did: they are hashed anew. */
function begin(blob: Descriptor, start: number, all: Map<Digest, Progress>): Progress {
  const known = all.get(blob.digest);
  if (known !== undefined && start > 0) return known;
  if (known !== undefined) {
    known.reads += 1;
    known.digester.abandon();
  }
  const fresh = { digester: new StreamDigester(digestAlgorithm(blob.digest), blob.size), position: 0, complete: false, reads: 0 };
  all.set(blob.digest, fresh);
  return fresh;
}

async function confirm(blob: Descriptor, state: Progress): Promise<void> {
  if (state.complete) return;
  const actual = await state.digester.digest();
  if (actual !== blob.digest) {
    throw new KitError('DIGEST_MISMATCH', `${blob.digest}: the content has digest ${actual}`, {
      hint: 'the content was changed or damaged; fetch it again from a source that you trust',
    });
  }
  state.complete = true;
}

function sizeMismatch(blob: Descriptor, received: string): KitError {
  return new KitError('SIZE_MISMATCH', `${blob.digest}: ${received} bytes arrived where its descriptor says ${blob.size}`, {
    hint: 'the content was cut off or its manifest is wrong; fetch it again from a source that you trust',
  });
}
