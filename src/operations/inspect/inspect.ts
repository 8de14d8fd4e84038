import type { CallOptions } from '../../events.ts';
import { layerInfoIn } from '../../formats/layer-info.ts';
import { formatOf } from '../../formats/registry.ts';
import { kitfileFields } from '../../kitfile/fields.ts';
import { printKitfile } from '../../kitfile/print.ts';
import { kitfileEntries, type Kitfile } from '../../kitfile/types.ts';
import type { Digest } from '../../oci/digest.ts';
import type { Index, Manifest } from '../../oci/manifest.ts';
import type { Location } from '../../oci/reference.ts';
import { KitError } from '../../errors.ts';
import type { Kit } from '../kit.ts';
import { examineArtifact, type LoadedArtifact, loadArtifact } from '../artifact/load-artifact.ts';
import { type Lookup, openSource } from '../artifact/open-location.ts';

const CLI_VERSION = 'ml.kitops.modelkit.cli-version';

export interface InspectResult {
  readonly digest: Digest;
  /** `modelkit`, `modelpack`, `docker-model`, `omlmd`; `artifact` for all else, `index` for a list of manifests. */
  readonly format: string;
  /** What it is, in a few words: `cosign signature`, `container image for linux/amd64`. */
  readonly description: string;
  /** Why what it holds cannot be read, though its format is known. */
  readonly problem: string | undefined;
  /** The version of the tool that packed it, `unknown` where it does not say. */
  readonly cliVersion: string;
  readonly kitfile: Kitfile | undefined;
  /** The Kitfile as JSON fields in kit's order, layers with digest and diffId. */
  readonly kitfileFields: Readonly<Record<string, unknown>> | undefined;
  /** Undefined for an index. */
  readonly manifest: Manifest | undefined;
  readonly index: Index | undefined;
}

/** What any artifact, image or index is, by its manifest and config. No layer is read. */
export async function inspect(kit: Kit, location: Location, lookup: Lookup, call: CallOptions = {}): Promise<InspectResult> {
  const source = await openSource(kit, location, lookup, call);
  const { descriptor, description, artifact, problem, content } = await examineArtifact(source.target, source.reference, source.name, call);
  const isIndex = 'manifests' in content;
  return {
    digest: descriptor.digest,
    format: isIndex ? 'index' : (artifact?.format ?? formatOf(content).name),
    description,
    problem,
    cliVersion: content.annotations?.[CLI_VERSION] || 'unknown',
    kitfile: artifact?.kitfile,
    kitfileFields: artifact?.kitfile && fieldsWithLayers(artifact, artifact.kitfile),
    manifest: isIndex ? undefined : content,
    index: isIndex ? content : undefined,
  };
}

function fieldsWithLayers({ kitfileJson, layers }: LoadedArtifact, kitfile: Kitfile): Readonly<Record<string, unknown>> {
  if (kitfileJson === undefined) return kitfileFields(kitfile);
  const infos = new Map(
    kitfileEntries(kitfile).map((entry) => [`${entry.role}:${entry.index}`, layerInfoIn(kitfileJson, entry, 'config')]),
  );
  const diffIds = new Map(layers.map(({ descriptor, diffId }) => [descriptor.digest, diffId]));
  return kitfileFields(kitfile, (role, index) => {
    const info = infos.get(`${role}:${index}`);
    return info && { digest: info.digest, diffId: info.diffId ?? diffIds.get(info.digest) ?? '' };
  });
}

export interface InfoResult {
  readonly digest: Digest;
  readonly kitfile: Kitfile;
  /** The Kitfile as YAML. */
  readonly text: string;
}

/** The Kitfile of a ModelKit. @throws KitError UNSUPPORTED when the artifact has none */
export async function info(kit: Kit, location: Location, lookup: Lookup, call: CallOptions = {}): Promise<InfoResult> {
  const source = await openSource(kit, location, lookup, call);
  const { kitfile, descriptor, manifest } = await loadArtifact(source.target, source.reference, source.name, call);
  if (kitfile === undefined) {
    throw new KitError('UNSUPPORTED', `${descriptor.digest} carries no Kitfile (config type \`${manifest.config.mediaType}\`)`, {
      hint: '`kit inspect` shows what it is',
    });
  }
  return { digest: descriptor.digest, kitfile, text: printKitfile(kitfile) };
}
