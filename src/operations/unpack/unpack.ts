import { KitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import type { ArtifactLayer } from '../../formats/types.ts';
import { safePath } from '../../blobs/safe-path.ts';
import { type Conflict, Staging } from '../../blobs/staging.ts';
import { remoteEntries } from '../../kitfile/types.ts';
import type { Digest } from '../../oci/digest.ts';
import type { Location } from '../../oci/reference.ts';
import { type Admit, admitted } from '../artifact/admission.ts';
import { baseReference, resolveChain } from '../artifact/base-modelkit.ts';
import { admission } from '../policy/configured.ts';
import { runAll } from '../../targets/run-all.ts';
import { describeChoices, type Filter, matchesLayer, PathSelection, wantsKitfile, wantsLayer } from '../artifact/filter.ts';
import type { Kit } from '../kit.ts';
import { type LoadedArtifact, loadArtifact } from '../artifact/load-artifact.ts';
import { openSource, type Source } from '../artifact/open-location.ts';
import { describeEntry, destinationOf, shownPlace, warnNotFetched } from '../remote-content/entry.ts';
import { mayHoldFile, modelLayers } from '../artifact/layer-files.ts';
import type { SourcedLayer } from '../artifact/layer-bytes.ts';
import { type SelectedLayer, type UnpackJob, unpackLayer } from './layer.ts';
import { stageKitfile } from './kitfile.ts';
import type { RemoteDownload, WantedEntry } from '../remote-content/open-files.ts';
import type { RemoteDownloads } from './remote.ts';

export interface UnpackArguments {
  readonly source: Location;
  /** Default: the working directory. */
  readonly directory?: string;
  /** OR-ed; none takes everything. */
  readonly filters?: readonly Filter[];
  /** What to do when a file is in the way. Default `fail`. */
  readonly conflict?: Conflict;
  /** Most bytes that the files may have in all, uncompressed. */
  readonly maxBytes?: number;
  /** Files of raw layers in local storage become hard links to it, read-only, where that can be done; the others are copied. */
  readonly link?: boolean;
  /**
   * Where filters want single files: read whole layers, so that every file is checked. Without it, files come by ranges out of large
   * uncompressed layers of a registry, and the result names those that no digest covers.
   */
  readonly wholeLayers?: boolean;
  /** The digest that a file of a tar layer must have, by clean path, where something else gives one, such as a signed model manifest. */
  readonly digestOf?: (path: string) => Digest | undefined;
  /** True: content that stays elsewhere is fetched too, and checked against what was recorded at pack. */
  readonly includeRemote?: boolean;
  /** Asked before anything is written, about the artifact and each base ModelKit whose layers are wanted. */
  readonly admit?: Admit;
}

export interface UnpackedLayer {
  readonly role: string;
  readonly name: string | undefined;
  readonly path: string;
  readonly digest: Digest;
  /** Paths of the files, where only some of the layer were wanted. */
  readonly files?: readonly string[] | undefined;
}

/** A file that came from where it stays. */
export interface RemoteUnpacked {
  /** `dataset NAME` or `model`. */
  readonly entry: string;
  readonly from: string;
  readonly path: string;
}

export interface UnpackResult {
  readonly digest: Digest;
  readonly directory: string;
  /** `unpacked`, or `kept` when an equal one was there; undefined when the filters leave it out. */
  readonly kitfile: 'unpacked' | 'kept' | undefined;
  /** References of the base ModelKits that were unpacked too. */
  readonly bases: readonly string[];
  readonly layers: readonly UnpackedLayer[];
  /** Files that were fetched from elsewhere; undefined where none were asked for. */
  readonly remote?: readonly RemoteUnpacked[] | undefined;
  readonly fileCount: number;
  /** Paths of the files that came out of a part of a layer, which no digest covers; undefined where all were checked. */
  readonly unverified?: readonly string[] | undefined;
}

/**
 * Unpacks an artifact, or what the filters select, from the store, a layout or straight from a registry.
 * Every byte is verified before a file has its final name, but for single files out of large layers (`wholeLayers`); when anything fails,
 * nothing is written.
 * @throws KitError FILTER_UNMATCHED | PATH_EXISTS | DIGEST_MISMATCH | UNSAFE_PATH | UNSAFE_ENTRY | LAYER_INVALID ...
 */
export async function unpack(kit: Kit, args: UnpackArguments, call: CallOptions = {}): Promise<UnpackResult> {
  const filters = args.filters ?? [];
  const source = await openSource(kit, args.source, 'local-first', call);
  const admit = await admission(kit, args.admit);
  const reference = admit === undefined ? source.reference : await admitted(source, admit, call);
  const artifact = await loadArtifact(source.target, reference, source.name, call);
  const paths = new PathSelection(filters);
  const { selected, chain } = await selectLayers(kit, source, artifact, { filters, paths }, call);
  for (const base of chain) await admit?.(base.source, base.artifact.descriptor, call);
  const elsewhere = [...chain.map((base) => base.artifact), artifact].flatMap((one) => wantedRemote(one, one === artifact, filters, paths));
  await using remote =
    args.includeRemote === true ? await openRemote(kit, elsewhere, admit, call) : withoutRemote(source.name, elsewhere, call);

  const staging = new Staging(args.directory ?? '.', args.conflict ?? 'fail');
  // a signature covers what the digests of the layers cover
  const needsWhole = args.wholeLayers === true || admit !== undefined;
  const job: UnpackJob = {
    staging,
    link: args.link === true,
    bytesLeft: args.maxBytes ?? Number.POSITIVE_INFINITY,
    linked: [],
    parts: ({ isLocal }) => (isLocal ? 'sound' : needsWhole ? 'never' : 'any'),
    digestOf: args.digestOf,
    seen: (path) => paths.see(path),
    unverified: [],
  };
  let kitfile: UnpackResult['kitfile'];
  try {
    const whole = [...selected, ...remote.layers];
    checkConflicts(whole, remote.downloads, staging);
    const withKitfile = wantsKitfile(filters) && artifact.kitfile !== undefined;
    if (withKitfile) kitfile = await stageKitfile(kit, staging, artifact, args.conflict ?? 'fail');
    const items = [...whole, ...remote.downloads];
    call.onEvent?.({ type: 'plan', blobs: items.length, bytes: items.reduce((sum, item) => sum + plannedBytes(item), 0) });
    await runAll(items, kit.concurrency, call.signal, async (item, signal) => {
      await ('file' in item ? remote.unpack(item, job, { ...call, signal }) : unpackLayer(item, job, { ...call, signal }));
    });
    paths.requireFound(source.name);
    if (job.link) warnOfCopies(job, staging.fileCount - (kitfile === 'unpacked' ? 1 : 0), call);
    warnOfCollisions(staging, call);
    staging.commit();
  } finally {
    await staging.discard();
  }
  // now that all names are final
  for (const confirm of job.linked) await confirm();
  return {
    digest: artifact.descriptor.digest,
    directory: staging.target,
    kitfile,
    bases: chain.map((base) => base.source.name),
    layers: [...selected, ...remote.layers].flatMap(describeLayer),
    remote: remote === NO_REMOTE ? undefined : remote.downloads.map(describeDownload),
    fileCount: staging.fileCount,
    unverified: job.unverified.length === 0 ? undefined : job.unverified.toSorted(),
  };
}

interface OpenedRemote extends RemoteDownloads {
  readonly unpack: (item: RemoteDownload, job: UnpackJob, call: CallOptions) => Promise<void>;
}

const NO_REMOTE: OpenedRemote = { downloads: [], layers: [], unpack: async () => {}, [Symbol.asyncDispose]: async () => {} };

function withoutRemote(name: string, wanted: readonly WantedEntry[], call: CallOptions): OpenedRemote {
  const entries = wanted.map(({ entry }) => entry);
  warnNotFetched(name, entries, call);
  return NO_REMOTE;
}

// loaded where it is asked for
async function openRemote(kit: Kit, wanted: readonly WantedEntry[], admit: Admit | undefined, call: CallOptions): Promise<OpenedRemote> {
  if (wanted.length === 0) return { ...NO_REMOTE };
  const { openRemoteDownloads, unpackRemote } = await import('./remote.ts');
  return { ...(await openRemoteDownloads(kit, wanted, admit, call)), unpack: unpackRemote };
}

/** What stays elsewhere and is wanted, as a whole or in part: of a base ModelKit its model. */
function wantedRemote({ kitfile }: LoadedArtifact, isOwn: boolean, filters: readonly Filter[], paths: PathSelection): WantedEntry[] {
  if (kitfile === undefined) return [];
  return remoteEntries(kitfile).flatMap((entry): WantedEntry[] => {
    const { role, name, path = '' } = entry;
    if (!isOwn && role !== 'model') return [];
    if (wantsLayer(filters, { role, name, path })) return [{ entry, wants: () => true }];
    // without a record nobody knows yet which files there are
    const isWanted = entry.remoteFiles?.some((file) => paths.wants(destinationOf(entry, file.path))) ?? paths.filters.length > 0;
    return isWanted ? [{ entry, wants: (file) => paths.wants(file) }] : [];
  });
}

function plannedBytes(item: SelectedLayer | RemoteDownload): number {
  if ('file' in item) return item.file.size;
  return item.part === undefined ? item.layer.descriptor.size : 0;
}

function describeDownload({ entry, path }: RemoteDownload): RemoteUnpacked {
  return { entry: describeEntry(entry), from: shownPlace(entry), path };
}

/** The layers that the filters choose, of the artifact and of the base ModelKits that its model comes from. */
async function selectLayers(
  kit: Kit,
  source: Source,
  artifact: LoadedArtifact,
  { filters, paths }: { readonly filters: readonly Filter[]; readonly paths: PathSelection },
  call: CallOptions,
): Promise<{ readonly selected: readonly SelectedLayer[]; readonly chain: Awaited<ReturnType<typeof resolveChain>> }> {
  const modelFilters = filters.filter(({ types }) => types.includes('model')).map((filter): Filter => ({ ...filter, types: ['model'] }));
  const wantsBase = filters.length === 0 || modelFilters.length > 0 || paths.filters.length > 0;
  const chain = wantsBase ? await resolveChain(kit, baseReference(artifact), source.name, 'local-first', call) : [];
  const isBaseWanted = (layer: ArtifactLayer): boolean =>
    filters.length === 0 || modelFilters.some((filter) => matchesLayer(filter, layer));
  const own = artifact.layers.flatMap((layer) => select({ source, layer }, wantsLayer(filters, layer), paths));
  const based = chain.flatMap((base) =>
    modelLayers(base.artifact).flatMap((layer) => select({ source: base.source, layer }, isBaseWanted(layer), paths)),
  );
  const selected = [...based, ...own];
  checkFilters(
    filters,
    artifact,
    chain.map((base) => base.artifact),
  );
  if (artifact.kitfile === undefined && selected.length === 0) throw nothingToUnpack(source.name, artifact);
  checkPaths(selected);
  return { selected, chain };
}

// an archive without a name of its own goes to the directory itself
function shownPath(layer: ArtifactLayer): string {
  return layer.role === 'file' ? layer.target || '.' : layer.path;
}

function describeLayer({ layer, part }: SelectedLayer): UnpackedLayer[] {
  if (part?.found.length === 0) return [];
  const { role, name, descriptor } = layer;
  return [{ role, name, path: shownPath(layer), digest: descriptor.digest, files: part?.found }];
}

/** The layer as a whole, the part of it that the paths want, or nothing. */
function select(item: SourcedLayer, isWhole: boolean, paths: PathSelection): SelectedLayer[] {
  if (isWhole) return [item];
  if (!mayHoldFile(item.layer, paths.patterns)) return [];
  return [item.layer.encoding === 'raw' ? item : { ...item, part: { wants: (path) => paths.wants(path), found: [] } }];
}

function checkFilters(filters: readonly Filter[], artifact: LoadedArtifact, bases: readonly LoadedArtifact[]): void {
  const elsewhere =
    artifact.kitfile === undefined ? [] : remoteEntries(artifact.kitfile).map((entry) => ({ ...entry, path: entry.path ?? '' }));
  const layers = [...artifact.layers, ...bases.flatMap(modelLayers), ...elsewhere];
  for (const filter of filters) {
    // which files there are is not known before the layers were read
    if (filter.types.includes('path')) continue;
    const matches =
      (filter.types.includes('kitfile') && artifact.kitfile !== undefined) || layers.some((layer) => matchesLayer(filter, layer));
    if (matches) continue;
    const choices = artifact.kitfile === undefined ? describeChoices(layers) : `\n  kitfile${describeChoices(layers)}`;
    throw new KitError('FILTER_UNMATCHED', `the filter \`${filter.text}\` matches nothing; there is:${choices || ' nothing'}`);
  }
}

function nothingToUnpack(name: string, { manifest }: LoadedArtifact): KitError {
  return new KitError(
    'UNSUPPORTED',
    `${name} holds no files that can be unpacked (artifact type \`${manifest.artifactType ?? manifest.config.mediaType}\`)`,
  );
}

function warnOfCopies({ linked }: UnpackJob, fileCount: number, call: CallOptions): void {
  const copied = fileCount - linked.length;
  if (copied === 0) return;
  call.onEvent?.({
    type: 'warning',
    code: 'NOT_LINKED',
    message: `${copied} of ${fileCount} files were copied: only raw layers in local storage are linked, on its file system, if not executable`,
  });
}

function warnOfCollisions(staging: Staging, call: CallOptions): void {
  for (const [one, other] of staging.caseCollisions()) {
    call.onEvent?.({
      type: 'warning',
      code: 'CASE_COLLISION',
      message: `${one} and ${other} differ only in case: one hides the other on some systems`,
    });
  }
}

// before anything is downloaded
function checkPaths(selected: readonly SelectedLayer[]): void {
  const files = new Map<string, string>();
  for (const { layer } of selected) {
    const { digest } = layer.descriptor;
    if (layer.target === '' && layer.encoding === 'tar') continue;
    const path = safePath(layer.target, `layer ${digest}`);
    if (layer.encoding === 'tar') continue;
    const other = files.get(path);
    if (path === '' || other !== undefined) {
      throw new KitError(
        'UNSAFE_ENTRY',
        path === '' ? `layer ${digest} names no file` : `${path} is in the layers ${other} and ${digest}`,
        { hint: 'nothing was written' },
      );
    }
    files.set(path, digest);
  }
}

function checkConflicts(selected: readonly SelectedLayer[], downloads: readonly RemoteDownload[], staging: Staging): void {
  for (const { entry, path } of downloads) staging.wants(path, shownPlace(entry));
  for (const { layer } of selected)
    if (layer.encoding === 'raw') staging.wants(safePath(layer.target, layer.descriptor.digest), layer.descriptor.digest);
}
