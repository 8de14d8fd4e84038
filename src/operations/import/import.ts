import { KitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import type { Encoding } from '../../formats/types.ts';
import { WebHttp } from '../../hub/web-http.ts';
import { printKitfile } from '../../kitfile/print.ts';
import type { Kitfile } from '../../kitfile/types.ts';
import { type Location, parseLocation } from '../../oci/reference.ts';
import { importArtifact } from './artifact.ts';
import { carriedKitfile, describeImport, withEntryPerFile } from './kitfile.ts';
import { openImportSource } from '../import-source/open.ts';
import type { ImportLocation, ImportSource } from '../import-source/source.ts';
import type { Kit } from '../kit.ts';
import type { PackResult } from '../pack/pack.ts';
import { type KitfileText, readKitfile } from '../pack/read-kitfile.ts';

/** `source`: `org/name`, `datasets/org/name`, `hf://...`, a URL of a hub, repository, file or archive, or a path. */
export interface ImportArguments extends ImportLocation {
  /** Default: the one among the files, else one made from what the hub says. */
  readonly kitfile?: KitfileText | undefined;
  /** Default: the name in small letters, with the tag `latest`, in the store. */
  readonly destination?: Location | undefined;
  /** True: straight to the registry that `destination` names. */
  readonly push?: boolean;
  /** Default: `modelkit`. */
  readonly format?: 'modelkit' | 'modelpack';
  /** Default: what suits the format. */
  readonly layerFormat?: Encoding | undefined;
}

export interface ImportResult extends PackResult {
  /** Where it came from. */
  readonly source: string;
  /** The commit. */
  readonly revision: string | undefined;
  readonly kitfile: Kitfile;
}

/**
 * Packs a model or dataset from where it is, without a copy in between: each file goes straight into the store or, with `push`, to the
 * registry, checked on the way against what git (LFS) names it by.
 * @throws KitError REFERENCE_NOT_FOUND | DENIED | UNAUTHORIZED | DIGEST_MISMATCH | FILTER_UNMATCHED | NETWORK ...
 */
export async function importModel(kit: Kit, args: ImportArguments, call: CallOptions = {}): Promise<ImportResult> {
  const http = new WebHttp(await kit.network());
  let source: ImportSource | undefined;
  try {
    source = await openImportSource(kit, http, args, call);
    const destination = args.destination ?? defaultLocation(source.name);
    const { kitfile, text } = await kitfileOf(source, args, call);
    const packed = await importArtifact(
      kit,
      {
        tree: source.tree,
        kitfile,
        text,
        destination,
        push: args.push === true,
        format: args.format ?? 'modelkit',
        layerFormat: args.layerFormat,
        annotations: source.annotations,
      },
      call,
    );
    return { ...packed, source: source.uri, revision: source.revision, kitfile };
  } finally {
    await source?.dispose?.();
    await http.close();
  }
}

/** The Kitfile that importing would pack by, without fetching the files. */
export async function describeRemote(kit: Kit, location: ImportLocation, call: CallOptions = {}): Promise<Kitfile> {
  const http = new WebHttp(await kit.network());
  let source: ImportSource | undefined;
  try {
    source = await openImportSource(kit, http, location, call);
    return await describeImport(source.tree, source.card, location.depth, call);
  } finally {
    await source?.dispose?.();
    await http.close();
  }
}

async function kitfileOf(
  { tree, card, name }: ImportSource,
  { kitfile: given, layerFormat, depth }: ImportArguments,
  call: CallOptions,
): Promise<{ kitfile: Kitfile; text: string }> {
  const original = given ?? (await carriedKitfile(tree, name, call));
  if (original !== undefined) return { kitfile: readKitfile(original, call), text: original.text };
  const described = await describeImport(tree, card, depth, call);
  const kitfile = layerFormat === 'raw' ? withEntryPerFile(described, tree) : described;
  return { kitfile, text: printKitfile(kitfile) };
}

/** `org/name:latest` in small letters, as KitOps names it. @throws KitError USAGE where that is no name of a ModelKit */
function defaultLocation(name: string): Location {
  const hint = 'give it a name with `--tag`';
  try {
    const location = parseLocation(`${name.toLowerCase()}:latest`);
    if (location.type === 'reference' && location.reference.registry === undefined) return location;
  } catch (error) {
    throw new KitError('USAGE', `${name} cannot be the name of a ModelKit`, { hint, cause: error });
  }
  throw new KitError('USAGE', `${name} would name a registry`, { hint });
}
