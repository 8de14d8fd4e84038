import { isDeepStrictEqual } from 'node:util';
import type { CallOptions } from '../events.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import type { Manifest } from '../oci/manifest.ts';
import type { Location } from '../oci/reference.ts';
import type { Kit } from './kit.ts';
import { loadArtifact } from './load-artifact.ts';
import { type Lookup, openSource } from './open-location.ts';

export interface DiffSide {
  readonly location: Location;
  readonly lookup: Lookup;
}

export interface DiffResult {
  readonly identical: boolean;
  readonly a: { readonly reference: string; readonly digest: Digest; readonly config: Digest };
  readonly b: { readonly reference: string; readonly digest: Digest; readonly config: Digest };
  readonly sameConfig: boolean;
  readonly annotationsMatch: boolean;
  readonly shared: readonly Descriptor[];
  readonly onlyA: readonly Descriptor[];
  readonly onlyB: readonly Descriptor[];
}

/** Compares two artifacts by their manifests. */
export async function diff(kit: Kit, a: DiffSide, b: DiffSide, call: CallOptions = {}): Promise<DiffResult> {
  const [one, other] = await Promise.all([load(kit, a, call), load(kit, b, call)]);
  return {
    identical: one.digest === other.digest,
    a: { reference: one.name, digest: one.digest, config: one.manifest.config.digest },
    b: { reference: other.name, digest: other.digest, config: other.manifest.config.digest },
    ...compareManifests(one.manifest, other.manifest),
  };
}

async function load(kit: Kit, side: DiffSide, call: CallOptions): Promise<{ name: string; digest: Digest; manifest: Manifest }> {
  const source = await openSource(kit, side.location, side.lookup, call);
  const { descriptor, manifest } = await loadArtifact(source.target, source.reference, source.name, call);
  return { name: source.name, digest: descriptor.digest, manifest };
}

/** Layers by digest: each of the first is matched at most once. Sorted by media type, as kit shows them. */
export function compareManifests(
  a: Manifest,
  b: Manifest,
): Pick<DiffResult, 'sameConfig' | 'annotationsMatch' | 'shared' | 'onlyA' | 'onlyB'> {
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
