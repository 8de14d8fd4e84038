import { IGNORE_FILE, parseIgnore } from '../../blobs/ignore.ts';
import { isWithin } from '../../blobs/safe-path.ts';
import type { CallOptions } from '../../events.ts';
import { PACK_FORMATS } from '../../formats/registry.ts';
import type { Encoding, EntryFiles } from '../../formats/types.ts';
import { readRemoteFile } from '../../hub/remote-file.ts';
import { cleanLayerPath, isModelKitReference } from '../../kitfile/layer-path.ts';
import { KITFILE_NAMES } from '../../kitfile/parse.ts';
import { isRemoteEntry, type Kitfile, kitfileEntries, remoteEntries } from '../../kitfile/types.ts';
import { type Annotations, describe } from '../../oci/descriptor.ts';
import { digestOf } from '../../oci/digest.ts';
import { MEDIA_TYPE } from '../../oci/media-types.ts';
import { formatLocation, type Location } from '../../oci/reference.ts';
import { warnOfLimits } from '../../targets/registry-limits.ts';
import { runAll } from '../../targets/run-all.ts';
import { importLayer, type ImportLayer, layerSize } from './layer.ts';
import { ContentRecord } from '../import-source/record.ts';
import type { ImportEntry, ImportTree } from '../import-source/tree.ts';
import type { Kit } from '../kit.ts';
import { rememberKitfile } from '../artifact/kitfile-record.ts';
import { openDestination, withDefaultTag } from '../artifact/open-location.ts';
import { warnOfEmpty } from '../pack/plan-layers.ts';
import { type PackResult, requireManifestSize, save } from '../pack/pack.ts';
import type { SavedLayer } from '../pack/pack-layer.ts';
import { recordRemoteContent } from '../remote-content/record.ts';
import { warnOfRemote } from '../remote-content/entry.ts';

export interface ImportArtifactArguments {
  readonly tree: ImportTree;
  readonly kitfile: Kitfile;
  /** The Kitfile as it is kept for unpacking. */
  readonly text: string;
  readonly destination: Location;
  readonly push: boolean;
  readonly format: 'modelkit' | 'modelpack';
  readonly layerFormat: Encoding | undefined;
  /** For the manifest: where it comes from. */
  readonly annotations: Annotations;
}

const MAX_IGNORE_FILE = 256 * 1024;

/** Packs files that lie elsewhere, as packing a downloaded copy would: each byte goes straight from there into the target. */
export async function importArtifact(kit: Kit, args: ImportArtifactArguments, call: CallOptions): Promise<PackResult> {
  const { annotations } = args;
  const kitfile = await recordRemoteContent(kit, args.kitfile, call);
  const format = PACK_FORMATS[args.format];
  const location = withDefaultTag(args.destination);
  const layers = await planImport(args, call);
  warnOfRemote(remoteEntries(kitfile), '', call);
  // what the format refuses is refused before anything is fetched
  const nothing = digestOf(new Uint8Array());
  const planned = layers.map((layer) => ({
    role: layer.entry.role,
    index: layer.entry.index,
    path: layer.path,
    descriptor: { mediaType: layer.mediaType, digest: nothing, size: layerSize(layer), annotations: layer.annotations },
    diffId: nothing,
  }));
  requireManifestSize(format.assemble(kitfile, planned, { annotations }).manifest, planned.length);

  await using destination = await openDestination(kit, location, args.push ? 'remote' : 'local');
  const { target } = destination;
  await using _lease = await target.can.lease?.(call);
  const record = new ContentRecord(kit.home);
  const outgoing = layers.map((layer) => ({ name: layer.path, size: layerSize(layer) }));
  await warnOfLimits(target, outgoing, call);
  call.onEvent?.({ type: 'plan', blobs: layers.length, bytes: outgoing.reduce((sum, { size }) => sum + size, 0) });
  const saved: SavedLayer[] = [];
  await runAll([...layers.entries()], kit.concurrency, call.signal, async ([index, layer], signal) => {
    saved[index] = await importLayer(target, layer, record, { ...call, signal });
  });
  const made = format.assemble(kitfile, saved, { annotations });
  const config = await save(target, made.config, call);
  for (const blob of made.extra) await save(target, blob, call);
  const manifest = await save(target, { descriptor: describe(MEDIA_TYPE.imageManifest, made.manifest), bytes: made.manifest }, call);
  for (const tag of destination.tags) await target.tag(manifest.descriptor, tag, call);
  await destination.close();
  if (!args.push && location.type === 'reference') await rememberKitfile(kit, config.descriptor.digest, args.text, call);
  return {
    reference: formatLocation(location),
    digest: manifest.descriptor.digest,
    layers: saved,
    config: { digest: config.descriptor.digest, existed: config.existed },
    manifest: { digest: manifest.descriptor.digest, existed: manifest.existed },
  };
}

async function planImport({ tree, kitfile, format, layerFormat }: ImportArtifactArguments, call: CallOptions): Promise<ImportLayer[]> {
  const isLayer = (path: string): boolean => path !== '' && !(isModelKitReference(path) && tree.file(path) === undefined);
  const entries = kitfileEntries(kitfile)
    .filter(({ role, path }) => role !== 'model' || isLayer(path ?? ''))
    .filter((entry) => !isRemoteEntry(kitfile, entry));
  const paths = entries.map(({ path }) => cleanLayerPath(path));
  const ignoreFile = tree.file(IGNORE_FILE);
  const rules = ignoreFile === undefined ? '' : (await readRemoteFile(ignoreFile, MAX_IGNORE_FILE, call)).toString();
  const ignore = parseIgnore(rules, [...KITFILE_NAMES, IGNORE_FILE]);
  const warn = (code: string, message: string): void => call.onEvent?.({ type: 'warning', code, message });
  const found = entries.map((entry): EntryFiles<ImportEntry> => {
    const path = cleanLayerPath(entry.path);
    if (ignore.ignores(path)) warn('LAYER_IGNORED', `${entry.role} layer path ${path} is ignored by .kitignore`);
    const others = new Set(paths.filter((other) => other !== path && isWithin(other, path)));
    const ignored = ignore.hasExceptions ? 'skip' : 'prune';
    const files = tree.walk(path, (file) => (others.has(file) ? 'prune' : ignore.ignores(file) ? ignored : 'keep'));
    warnOfEmpty({ entry, path, files }, warn);
    return { entry, path, files };
  });
  return PACK_FORMATS[format].plan(found, { encoding: layerFormat, compression: 'none', warn });
}
