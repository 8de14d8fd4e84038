import type { CallOptions } from '../../events.ts';
import { type RemoteEntry, remoteEntries } from '../../kitfile/types.ts';
import type { Location } from '../../oci/reference.ts';
import { type Admit, admitted } from './admission.ts';
import { baseReference, resolveChain } from './base-modelkit.ts';
import type { Kit } from '../kit.ts';
import type { SourcedLayer } from './layer-bytes.ts';
import { modelLayers } from './layer-files.ts';
import { type LoadedArtifact, loadArtifact } from './load-artifact.ts';
import { type Lookup, openSource } from './open-location.ts';

/** An artifact with all layers that unpack would read for it. */
export interface ArtifactLayers {
  readonly name: string;
  readonly artifact: LoadedArtifact;
  /** Those of its bases first, in the order of unpack. */
  readonly layers: readonly SourcedLayer[];
  /** Names of the ModelKits that its model comes from. */
  readonly bases: readonly string[];
  /** What stays elsewhere, and unpack would fetch if asked to: of its bases the models. */
  readonly elsewhere: readonly RemoteEntry[];
}

/** `admit` is asked about it and its bases. @throws KitError as loadArtifact and, with bases, as resolveChain */
export async function loadLayers(
  kit: Kit,
  location: Location,
  lookup: Lookup,
  call: CallOptions,
  { withBases = true, admit }: { readonly withBases?: boolean; readonly admit?: Admit | undefined } = {},
): Promise<ArtifactLayers> {
  const source = await openSource(kit, location, lookup, call);
  const reference = admit === undefined ? source.reference : await admitted(source, admit, call);
  const artifact = await loadArtifact(source.target, reference, source.name, call);
  const chain = await resolveChain(kit, withBases ? baseReference(artifact) : undefined, source.name, lookup, call);
  for (const base of chain) await admit?.(base.source, base.artifact.descriptor, call);
  const based = chain.flatMap((base) => modelLayers(base.artifact).map((layer) => ({ source: base.source, layer })));
  const own = artifact.layers.map((layer) => ({ source, layer }));
  const models = chain.flatMap((base) => remoteEntries(base.artifact.kitfile).filter(({ role }) => role === 'model'));
  const elsewhere = [...models, ...remoteEntries(artifact.kitfile)];
  return { name: source.name, artifact, layers: [...based, ...own], bases: chain.map((base) => base.source.name), elsewhere };
}
