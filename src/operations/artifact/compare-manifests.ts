import { isDeepStrictEqual } from 'node:util';
import type { Descriptor } from '../../oci/descriptor.ts';
import type { Manifest } from '../../oci/manifest.ts';

/** What two manifests share by digest. */
export interface ManifestComparison {
  readonly sameConfig: boolean;
  readonly annotationsMatch: boolean;
  readonly shared: readonly Descriptor[];
  readonly onlyA: readonly Descriptor[];
  readonly onlyB: readonly Descriptor[];
}

/** Layers by digest: each of the first is matched at most once. Sorted by media type, as kit shows them. */
export function compareManifests(a: Manifest, b: Manifest): ManifestComparison {
  const unmatched = new Map(a.layers.map((layer) => [layer.digest, layer]));
  const [shared, onlyB]: [Descriptor[], Descriptor[]] = [[], []];
  for (const layer of b.layers) (unmatched.delete(layer.digest) ? shared : onlyB).push(layer);
  return {
    sameConfig: a.config.digest === b.config.digest,
    annotationsMatch: isDeepStrictEqual({ ...a.annotations }, { ...b.annotations }),
    shared: byMediaType(shared),
    onlyA: byMediaType([...unmatched.values()]),
    onlyB: byMediaType(onlyB),
  };
}

function byMediaType(layers: readonly Descriptor[]): Descriptor[] {
  return layers.toSorted((a, b) => (a.mediaType < b.mediaType ? -1 : a.mediaType > b.mediaType ? 1 : 0));
}
