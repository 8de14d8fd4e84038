import type { CallOptions } from '../../events.ts';
import type { Digest } from '../../oci/digest.ts';
import { type ArtifactLayers, loadLayers } from '../artifact/artifact-layers.ts';
import { compareManifests, type ManifestComparison } from '../artifact/compare-manifests.ts';
import { diffFiles, type FilesDiff } from './files.ts';
import { type FieldChange, fieldChanges } from '../history/changes.ts';
import type { Kit } from '../kit.ts';
import { compareSides, type IndexesDiff } from './indexes.ts';
import type { DiffSide, DiffSides } from './sides.ts';

export interface DiffArguments extends DiffSides {
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

/**
 * Compares two artifacts by their manifests and Kitfiles, and by the names in their layers where that is asked for; the members of two
 * indexes, each with the one that it is paired with. @throws KitError UNSUPPORTED for an index and an artifact that is none of it
 */
export async function diff(
  kit: Kit,
  { files = false, ...sides }: DiffArguments,
  call: CallOptions = {},
): Promise<DiffResult | IndexesDiff<DiffResult>> {
  return await compareSides(kit, sides, async (a, b, own) => await diffArtifacts(kit, a, b, files, own), call);
}

async function diffArtifacts(kit: Kit, a: DiffSide, b: DiffSide, files: boolean, call: CallOptions): Promise<DiffResult> {
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
