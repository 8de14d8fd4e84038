import { releaseChunk } from '../chunk.ts';
import type { Digest } from '../oci/digest.ts';
import { StreamDigester } from '../oci/stream-digester.ts';
import type { BlobSource, Bytes } from '../blob-source.ts';
import { HASH_STEP } from './digest-file.ts';
import { digested } from './digested.ts';

/** Digest and size in bytes of what a source gives, without keeping it. Errors of the source come through as they are. */
export async function digestOfSource(
  source: BlobSource,
  signal?: AbortSignal,
): Promise<{ readonly digest: Digest; readonly size: number }> {
  const digester = new StreamDigester('sha256', source.size);
  try {
    const size = await drain(digested(source.open(undefined, signal), digester), signal);
    return { digest: await digester.digest(), size };
  } finally {
    digester.abandon();
  }
}

async function drain(bytes: Bytes, signal: AbortSignal | undefined): Promise<number> {
  const iterator = bytes[Symbol.asyncIterator]();
  let size = 0;
  try {
    for (;;) {
      signal?.throwIfAborted();
      const moved = await iterator.move?.({ to: 'nowhere', limit: Number.POSITIVE_INFINITY, step: HASH_STEP, failed: (error) => error });
      size += moved?.bytes ?? 0;
      if (moved !== undefined) continue;
      const step = await iterator.next();
      if (step.done === true) return size;
      size += step.value.byteLength;
      releaseChunk(step.value);
    }
  } catch (error) {
    await iterator.return?.();
    throw error;
  }
}
