import type { CallOptions } from '../events.ts';
import { layerInfoIn } from '../formats/layer-info.ts';
import { kitfileFields } from '../kitfile/fields.ts';
import { printKitfile } from '../kitfile/print.ts';
import { kitfileEntries, type Kitfile } from '../kitfile/types.ts';
import type { Digest } from '../oci/digest.ts';
import { parseExactJson } from '../oci/json.ts';
import type { Manifest } from '../oci/manifest.ts';
import type { Location } from '../oci/reference.ts';
import { KitError } from '../errors.ts';
import type { Kit } from './kit.ts';
import { type LoadedArtifact, loadArtifact } from './load-artifact.ts';
import { type Lookup, openSource } from './open-location.ts';

const CLI_VERSION = 'ml.kitops.modelkit.cli-version';

export interface InspectResult {
  readonly digest: Digest;
  readonly format: string;
  /** The version of the tool that packed it, `unknown` where it does not say. */
  readonly cliVersion: string;
  readonly kitfile: Kitfile | undefined;
  /** The Kitfile as JSON fields in kit's order, layers with digest and diffId. */
  readonly kitfileFields: Readonly<Record<string, unknown>> | undefined;
  readonly manifest: Manifest;
}

/** What a manifest and its config say. No layer is read. */
export async function inspect(kit: Kit, location: Location, lookup: Lookup, call: CallOptions = {}): Promise<InspectResult> {
  const artifact = await load(kit, location, lookup, call);
  const { descriptor, manifest, kitfile, format } = artifact;
  return {
    digest: descriptor.digest,
    format,
    cliVersion: manifest.annotations?.[CLI_VERSION] || 'unknown',
    kitfile,
    kitfileFields: kitfile && fieldsWithLayers(artifact, kitfile),
    manifest,
  };
}

async function load(kit: Kit, location: Location, lookup: Lookup, call: CallOptions): Promise<LoadedArtifact> {
  const source = await openSource(kit, location, lookup, call);
  return await loadArtifact(source.target, source.reference, source.name, call);
}

function fieldsWithLayers({ format, config, layers }: LoadedArtifact, kitfile: Kitfile): Readonly<Record<string, unknown>> {
  if (format !== 'modelkit') return kitfileFields(kitfile);
  const value = parseExactJson(config.toString('utf8'));
  const infos = new Map(kitfileEntries(kitfile).map((entry) => [`${entry.role}:${entry.index}`, layerInfoIn(value, entry, 'config')]));
  return kitfileFields(kitfile, (role, index) => {
    const info = infos.get(`${role}:${index}`);
    return (
      info && {
        digest: info.digest,
        diffId: info.diffId ?? layers.find(({ descriptor }) => descriptor.digest === info.digest)?.diffId ?? '',
      }
    );
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
  const { kitfile, descriptor, manifest } = await load(kit, location, lookup, call);
  if (kitfile === undefined) {
    throw new KitError('UNSUPPORTED', `${descriptor.digest} carries no Kitfile (config type \`${manifest.config.mediaType}\`)`, {
      hint: '`kit inspect` shows what it is',
    });
  }
  return { digest: descriptor.digest, kitfile, text: printKitfile(kitfile) };
}
