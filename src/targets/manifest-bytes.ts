import { readVerified } from '../blobs/verified.ts';
import type { CallOptions } from '../events.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { MAX_METADATA_BYTES } from '../oci/media-types.ts';
import type { ReadTarget } from './types.ts';

/** The bytes of a manifest, index or config, with digest and size checked. @throws KitError LIMIT_EXCEEDED beyond 4 MiB */
export async function fetchMetadata(from: Pick<ReadTarget, 'fetch'>, blob: Descriptor, options: CallOptions = {}): Promise<Buffer> {
  return await readVerified(lazily(from, blob, options), blob, MAX_METADATA_BYTES);
}

/** Nothing is fetched before the size was checked. */
async function* lazily(from: Pick<ReadTarget, 'fetch'>, blob: Descriptor, options: CallOptions): AsyncGenerator<Uint8Array> {
  yield* await from.fetch(blob, options);
}
