import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { IGNORE_FILE, readIgnoreFile } from '../../blobs/ignore.ts';
import type { Compression } from '../../blobs/compress.ts';
import { bytesSource } from '../../blob-source.ts';
import { openContext, type WalkEntry } from '../../blobs/walk.ts';
import { isKitError, KitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import { PACK_FORMATS, type PackFormatName } from '../../formats/registry.ts';
import type { Blob, Encoding, PackedLayer } from '../../formats/types.ts';
import { cleanLayerPath, isModelKitReference } from '../../kitfile/layer-path.ts';
import { KITFILE_NAMES } from '../../kitfile/parse.ts';
import { isRemoteEntry, type Kitfile, kitfileEntries, remoteEntries } from '../../kitfile/types.ts';
import { type Annotations, describe, type Descriptor } from '../../oci/descriptor.ts';
import { type Digest, digestOf } from '../../oci/digest.ts';
import { ANNOTATION, MAX_METADATA_BYTES, MEDIA_TYPE } from '../../oci/media-types.ts';
import { formatLocation, formatReference, type Location } from '../../oci/reference.ts';
import { warnOfLimits } from '../../targets/registry-limits.ts';
import { runAll } from '../../targets/run-all.ts';
import type { Target } from '../../targets/types.ts';
import { type BaseModelKit, baseReference, layerPaths, resolveChain } from '../artifact/base-modelkit.ts';
import { journaled } from '../history/journal.ts';
import type { Kit } from '../kit.ts';
import { rememberKitfile } from '../artifact/kitfile-record.ts';
import { rememberSource, type SourceRecord } from '../artifact/source-record.ts';
import { layerCacheIn } from './layer-cache.ts';
import { warnOfPointers } from './lfs-pointers.ts';
import { type Destination, openDestination, withDefaultTag } from '../artifact/open-location.ts';
import { noteSource } from './note-source.ts';
import { packLayer, type SavedLayer } from './pack-layer.ts';
import { type LayerPlan, planLayers } from './plan-layers.ts';
import { warnOfRemote } from '../remote-content/entry.ts';
import { findKitfile, type KitfileText, readKitfile } from './read-kitfile.ts';
import { factsOfFiles } from '../sbom/weight-facts.ts';

export interface PackArguments {
  readonly directory: string;
  /** Default: the Kitfile in the directory. */
  readonly kitfile?: KitfileText;
  /** Where it goes; default: the store, without a tag. */
  readonly destination?: Location;
  /** True: straight to the registry that `destination` names. */
  readonly push?: boolean;
  /** Default: `modelkit`. */
  readonly format?: PackFormatName;
  readonly compression?: Compression;
  /** Default: what suits the format. */
  readonly layerFormat?: Encoding;
  /** Packs links out of the directory as what they point to. */
  readonly followSymlinks?: boolean;
  /** RFC 3339 time for the manifest; none unless given, so that the same input gives the same digest. */
  readonly created?: string;
  /** False: reads every file, also those that have not changed since they were packed. */
  readonly cache?: boolean;
  /** True: remote and commit of the git work tree become annotations of the manifest, and with them part of its digest. */
  readonly gitOrigin?: boolean;
  /** False: does not ask the places where content stays what is there; the Kitfile has to say enough. */
  readonly verifyRemote?: boolean;
}

/** What an artifact was made from, besides its files. */
export interface PackInputs {
  readonly kitfile: { readonly file: string; readonly digest: Digest };
  /** The base ModelKit, and those below it. */
  readonly bases: readonly PackBase[];
}

export interface PackBase {
  readonly reference: string;
  readonly digest: Digest;
  /** Where that one says it comes from. */
  readonly source?: string;
  readonly revision?: string;
}

export interface PackResult {
  readonly reference: string | undefined;
  readonly digest: Digest;
  readonly layers: readonly SavedLayer[];
  readonly config: { readonly digest: Digest; readonly existed: boolean };
  readonly manifest: { readonly digest: Digest; readonly existed: boolean };
  /** Undefined for an import. */
  readonly inputs?: PackInputs;
}

const UNTAGGED: Location = { type: 'reference', reference: { registry: undefined, repository: '_', tags: [], digest: undefined } };

/** Packs a directory as its Kitfile says. @throws KitError */
export async function pack(kit: Kit, args: PackArguments, call: CallOptions = {}): Promise<PackResult> {
  const context = openContext(args.directory, args.followSymlinks);
  // git answers while layers are planned and hashed
  const source = noteSource(kit, context.root, call);
  const original = args.kitfile ?? (await findKitfile(args.directory));
  const kitfile = readKitfile(original, call);
  const location = args.destination === undefined ? UNTAGGED : withDefaultTag(args.destination);

  const isReference = (path: string): boolean => isModelKitReference(path) && !existsSync(join(context.root, path));
  const chain = await resolveBase(kit, kitfile, isReference, location, call);
  const elsewhere = remoteEntries(kitfile).flatMap(({ path }) => path ?? []);
  const basePaths = chain
    .flatMap(({ artifact }) => layerPaths(artifact.kitfile, (path) => path === baseReference(artifact)))
    .concat(elsewhere)
    .map(cleanLayerPath);
  const ignore = await readIgnoreFile(context.root, [...KITFILE_NAMES, IGNORE_FILE]);

  // a model without a path is no layer, other entries without one are the whole directory
  const stored = kitfileEntries(kitfile).filter(({ role, path = '' }) => role !== 'model' || (path !== '' && !isReference(path)));
  const entries = stored.filter((entry) => !isRemoteEntry(kitfile, entry));
  const { compression = 'none', layerFormat } = args;
  const format = PACK_FORMATS[args.format ?? 'modelkit'];
  const plans = planLayers(context, entries, { format, layerFormat, compression, ignore, basePaths }, call);

  warnOfPointers(plans, call);
  const recorded = await withRemoteContent(kit, kitfile, args, call);
  const options = { created: args.created, annotations: await originAnnotations(kit, args, call) };
  // what the format refuses is refused before anything is read
  requireManifestSize(format.assemble(recorded, plans.map(notPackedYet), options).manifest, plans.length);

  await using destination = await openDestination(kit, location, args.push === true ? 'remote' : 'local');
  const isNamed = args.destination?.type === 'reference';
  const target = isNamed ? journaled(kit, destination.target, args.push === true ? 'registry' : 'store', call) : destination.target;
  await using _lease = await target.can.lease?.(call);
  const record = layerCacheIn(kit.home);
  const lookup = args.cache === false ? undefined : record;
  const isLikelyThere = args.push === true && (await isTagged(destination, call));
  const outgoing = plans.filter((plan) => plan.compression === 'none').map(({ path, content }) => ({ name: path, size: content.size }));
  await warnOfLimits(target, outgoing, call);
  call.onEvent?.({ type: 'plan', blobs: plans.length, bytes: plans.reduce((sum, { content }) => sum + content.size, 0) });
  const layers: SavedLayer[] = [];
  await runAll([...plans.entries()], kit.concurrency, call.signal, async ([index, plan], signal) => {
    layers[index] = await packLayer(target, plan, { lookup, record, isLikelyThere }, { ...call, signal });
  });
  const facts = format === PACK_FORMATS.modelkit ? undefined : await factsOfFiles(weightsOf(plans), call);
  const made = format.assemble(recorded, layers, { ...options, facts });
  const config = await save(target, made.config, call);
  for (const blob of made.extra) await save(target, blob, call);
  const manifest = await save(target, { descriptor: describe(MEDIA_TYPE.imageManifest, made.manifest), bytes: made.manifest }, call);
  for (const tag of destination.tags) await target.tag(manifest.descriptor, tag, call);
  await destination.close();
  const isStored = args.push !== true && location.type === 'reference';
  await remember(
    kit,
    { config: config.descriptor.digest, manifest: manifest.descriptor.digest, isStored },
    original.text,
    await source,
    call,
  );
  return {
    reference: args.destination && formatLocation(location),
    digest: manifest.descriptor.digest,
    layers,
    config: { digest: config.descriptor.digest, existed: config.existed },
    manifest: { digest: manifest.descriptor.digest, existed: manifest.existed },
    inputs: { kitfile: { file: original.file, digest: digestOf(Buffer.from(original.text)) }, bases: chain.map(describeBase) },
  };
}

/** What the artifact has no room for. */
async function remember(
  kit: Kit,
  { config, manifest, isStored }: { readonly config: Digest; readonly manifest: Digest; readonly isStored: boolean },
  kitfile: string,
  source: SourceRecord | undefined,
  call: CallOptions,
): Promise<void> {
  if (isStored) await rememberKitfile(kit, config, kitfile, call);
  if (source !== undefined) await rememberSource(kit, manifest, { ...source, ...(!isStored && { elsewhere: true }) }, call);
}

function describeBase({ reference, artifact: { descriptor, manifest } }: BaseModelKit): PackBase {
  const { [ANNOTATION.source]: source, [ANNOTATION.revision]: revision } = manifest.annotations ?? {};
  const { digest } = descriptor;
  return { reference: formatReference(reference), digest, ...(source && { source }), ...(revision && { revision }) };
}

async function originAnnotations(kit: Kit, { gitOrigin, directory }: PackArguments, call: CallOptions): Promise<Annotations | undefined> {
  if (gitOrigin !== true) return undefined;
  const origin = await import('./git-origin.ts');
  return await origin.gitOrigin(kit, directory, call);
}

/** With what is to be had of content that stays elsewhere. */
async function withRemoteContent(kit: Kit, kitfile: Kitfile, { verifyRemote }: PackArguments, call: CallOptions): Promise<Kitfile> {
  const entries = remoteEntries(kitfile);
  if (entries.length === 0) return kitfile;
  const { recordRemoteContent, requireRemoteHashes } = await import('../remote-content/record.ts');
  if (verifyRemote === false) requireRemoteHashes(entries);
  const recorded = verifyRemote === false ? kitfile : await recordRemoteContent(kit, kitfile, call);
  warnOfRemote(entries, '', call);
  return recorded;
}

function weightsOf(plans: readonly LayerPlan[]): WalkEntry[] {
  return plans.filter(({ entry }) => entry.role === 'model' || entry.role === 'modelpart').flatMap(({ inputs }) => inputs.entries);
}

async function resolveBase(
  kit: Kit,
  kitfile: Kitfile,
  isReference: (path: string) => boolean,
  location: Location,
  call: CallOptions,
): ReturnType<typeof resolveChain> {
  const path = kitfile.model?.path;
  if (path === undefined || !isReference(path)) return [];
  return await resolveChain(kit, path, formatLocation(location), 'local-first', call);
}

/** An earlier version, of which most layers will have stayed. */
async function isTagged({ target, tags: [tag] }: Destination, call: CallOptions): Promise<boolean> {
  if (tag === undefined || target.can.pushUnhashed === undefined) return false;
  try {
    await target.resolve(tag, call);
    return true;
  } catch (error) {
    // should it matter, the first layer will tell
    if (isKitError(error)) return false;
    throw error;
  }
}

/** Puts what a format made; a manifest becomes part of the repository. */
export async function save(
  target: Target,
  { descriptor, bytes }: Blob,
  call: CallOptions,
): Promise<{ descriptor: Descriptor; existed: boolean }> {
  const existed = await target.has(descriptor, call);
  // a manifest is pushed even where it exists, so that it becomes part of this repository
  if (!existed || descriptor.mediaType === MEDIA_TYPE.imageManifest) await target.push(descriptor, bytesSource(bytes), call);
  return { descriptor, existed };
}

const NO_DIGEST = digestOf(new Uint8Array());

/** Stands for a layer whose digest is not known yet: all digests are of one length. */
function notPackedYet({ entry, path, mediaType, annotations, content }: LayerPlan): PackedLayer {
  const descriptor = { mediaType, digest: NO_DIGEST, size: content.size, annotations };
  return { role: entry.role, index: entry.index, path, descriptor, diffId: NO_DIGEST };
}

// no registry would take it, and no reader here
/** @throws KitError LIMIT_EXCEEDED */
export function requireManifestSize({ byteLength }: Uint8Array, layers: number): void {
  if (byteLength <= MAX_METADATA_BYTES) return;
  throw new KitError(
    'LIMIT_EXCEEDED',
    `the manifest of ${layers} layers has ${byteLength} bytes, and registries take ${MAX_METADATA_BYTES}`,
    {
      hint: 'use `--layer-format tar`: a directory is then one layer',
    },
  );
}
