import { KitError } from '../errors.ts';
import { type Digest, isDigest } from '../oci/digest.ts';
import type { Manifest } from '../oci/manifest.ts';

/**
 * The digests of the uncompressed layers as a config lists them, one for each layer and in their order; undefined where it gives none.
 * Some writers leave out the algorithm. @throws KitError MANIFEST_INVALID when there are fewer or more than layers
 */
export function diffIdsOf(listed: readonly string[] | undefined, { layers }: Manifest, name: string): (Digest | undefined)[] {
  if (listed === undefined || listed.length === 0) return layers.map(() => undefined);
  if (listed.length !== layers.length) {
    throw new KitError('MANIFEST_INVALID', `${name}: the config lists ${listed.length} diffIds for ${layers.length} layers`, {
      hint: 'the artifact contradicts itself; ask for it to be packed again',
    });
  }
  return listed.map((text) => {
    const digest = text.includes(':') ? text : `sha256:${text}`;
    return isDigest(digest) ? digest : undefined;
  });
}
