import { releaseChunk } from '../chunk.ts';
import type { Digest } from '../oci/digest.ts';
import { StreamDigester } from '../oci/stream-digester.ts';
import type { BlobSource } from '../blob-source.ts';

/** Digest and size in bytes of what a source gives, without keeping it. Errors of the source come through as they are. */
export async function digestOfSource(
  source: BlobSource,
  signal?: AbortSignal,
): Promise<{ readonly digest: Digest; readonly size: number }> {
  const digester = new StreamDigester('sha256', source.size);
  let size = 0;
  try {
    for await (const chunk of source.open(undefined, signal)) {
      signal?.throwIfAborted();
      size += chunk.byteLength;
      await digester.update(chunk);
      releaseChunk(chunk);
    }
    return { digest: await digester.digest(), size };
  } finally {
    digester.abandon();
  }
}
