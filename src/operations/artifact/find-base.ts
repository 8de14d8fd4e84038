import { isKitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import type { Digest } from '../../oci/digest.ts';
import { baseReference } from './base-modelkit.ts';
import { loadArtifact } from './load-artifact.ts';
import type { Source } from './open-location.ts';

/** The reference to the ModelKit that an artifact is based on, as it is written there; undefined when it needs none to be unpacked. */
export async function findBase(from: Source, digest: Digest, call: CallOptions = {}): Promise<string | undefined> {
  try {
    return baseReference(await loadArtifact(from.target, digest, from.name, call));
  } catch (error) {
    // an index, an image, a signature: what cannot be read as a model names no base
    if (isKitError(error, 'UNSUPPORTED', 'MANIFEST_INVALID', 'LIMIT_EXCEEDED')) return undefined;
    throw error;
  }
}
