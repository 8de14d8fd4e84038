import type { CallOptions } from '../../events.ts';
import type { Digest } from '../../oci/digest.ts';
import type { Location } from '../../oci/reference.ts';
import { type ArtifactLayers, loadLayers } from '../artifact/artifact-layers.ts';
import { compareManifests, type ManifestComparison } from '../artifact/compare-manifests.ts';
import { diffFiles, type FilesDiff } from './files.ts';
import { type FieldChange, fieldChanges } from '../history/changes.ts';
import type { Kit } from '../kit.ts';
import type { Lookup } from '../artifact/open-location.ts';

export interface DiffSide {
  readonly location: Location;
  readonly lookup: Lookup;
}

export interface DiffArguments {
  readonly a: DiffSide;
  readonly b: DiffSide;
  /** Also compare the files in the layers that differ: their headers are read. */
  readonly files?: boolean;
}

export interface ComparedArtifact {
  readonly reference: string;
  readonly digest: Digest;
  readonly config: Digest;
}

export interface DiffResult extends ManifestComparison {
  readonly identical: boolean;
  readonly a: ComparedArtifact;
  readonly b: ComparedArtifact;
  /** Fields of the Kitfile; undefined where both say the same. */
  readonly kitfile?: readonly FieldChange[] | undefined;
  /** Undefined unless asked for. */
  readonly files?: FilesDiff | undefined;
}

/** Compares two artifacts by their manifests and Kitfiles, and by the names in their layers where that is asked for. */
export async function diff(kit: Kit, { a, b, files = false }: DiffArguments, call: CallOptions = {}): Promise<DiffResult> {
  const load = async ({ location, lookup }: DiffSide): Promise<ArtifactLayers> =>
    await loadLayers(kit, location, lookup, call, { withBases: files });
  const [one, other] = await Promise.all([load(a), load(b)]);
  const fields = fieldChanges(one.artifact.kitfile, other.artifact.kitfile);
  return {
    identical: one.artifact.descriptor.digest === other.artifact.descriptor.digest,
    a: describe(one),
    b: describe(other),
    ...compareManifests(one.artifact.manifest, other.artifact.manifest),
    kitfile: fields.length === 0 ? undefined : fields,
    files: files ? await diffFiles(kit, { location: a.location, loaded: one }, { location: b.location, loaded: other }, call) : undefined,
  };
}

function describe({ name, artifact }: ArtifactLayers): ComparedArtifact {
  return { reference: name, digest: artifact.descriptor.digest, config: artifact.manifest.config.digest };
}
