import { releaseChunk } from '../../chunk.ts';
import { KitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import { type Digest, Digester } from '../../oci/digest.ts';
import type { Location } from '../../oci/reference.ts';
import { runAll } from '../../targets/run-all.ts';
import { type ArtifactLayers, loadLayers } from '../artifact/artifact-layers.ts';
import type { Kit } from '../kit.ts';
import { type Parts, type SourcedLayer } from '../artifact/layer-bytes.ts';
import { checkFileCount, type LayerFile, mayHoldFile, rawFile, type WalkedEntry, walkLayer } from '../artifact/layer-files.ts';
import type { Lookup } from '../artifact/open-location.ts';
import { matchesPath } from '../artifact/path-pattern.ts';
import { type ListedFile, referredFiles } from '../remote-content/listed.ts';

/** What may be fetched without a word. */
const UNREMARKED = 4 * 1024 * 1024;

export interface FilesArguments {
  readonly source: Location;
  /** Default `local-first`. */
  readonly lookup?: Lookup;
  /** Only files that one of them names: paths, folders or globs. None: all. */
  readonly patterns?: readonly string[];
  /** False: what can only be listed by reading a whole large layer is refused. Default true. */
  readonly download?: boolean;
  /** Also hash the files of layers that are read whole. Default false. */
  readonly digests?: boolean;
}

/** What is known of a layer whose files were listed. */
export interface ListedLayer {
  readonly digest: Digest;
  readonly role: string;
  readonly name: string | undefined;
  readonly path: string;
  readonly mediaType: string;
  /** Bytes, as they are stored. */
  readonly size: number;
  /** Bytes that were read of it. */
  readonly read: number;
  /** What covers the names and sizes: the `manifest`, the `layer`'s digest, or nothing. */
  readonly checked: 'manifest' | 'layer' | 'nothing';
}

export interface FilesResult {
  readonly digest: Digest;
  /** As the user would write it. */
  readonly reference: string;
  /** In the order of the layers, and in that of each archive; then what stays elsewhere, as it was recorded. */
  readonly files: readonly ListedFile[];
  /** Those that may hold a file that is asked for. */
  readonly layers: readonly ListedLayer[];
  /** References of the ModelKits that the model comes from. */
  readonly bases: readonly string[];
}

/**
 * Lists the files of an artifact. Raw layers are in the manifest; of a large uncompressed tar layer only the headers are read, by ranges;
 * a compressed one has to be read whole.
 * @throws KitError FILTER_UNMATCHED when nothing matches, UNSUPPORTED where `download` is false
 */
export async function files(kit: Kit, args: FilesArguments, call: CallOptions = {}): Promise<FilesResult> {
  const loaded = await loadLayers(kit, args.source, args.lookup ?? 'local-first', call);
  const { patterns = [] } = args;
  const { files: own, layers } = await listFiles(kit, args.source, loaded, args, call);
  const isWanted = ({ path }: ListedFile): boolean => patterns.length === 0 || patterns.some((pattern) => matchesPath(pattern, path));
  const elsewhere = referredFiles(loaded.elsewhere).map(({ file }) => file);
  const all = [...own, ...elsewhere.filter(isWanted)];
  if (patterns.length > 0 && all.length === 0) {
    throw new KitError('FILTER_UNMATCHED', `no file of ${loaded.name} matches ${patterns.map((one) => `\`${one}\``).join(' or ')}`, {
      hint: `\`kit files ${loaded.name}\` lists all`,
    });
  }
  return { digest: loaded.artifact.descriptor.digest, reference: loaded.name, files: all, layers, bases: loaded.bases };
}

interface ListOptions extends Pick<FilesArguments, 'patterns' | 'download' | 'digests'> {
  /** Files of so many bytes are hashed in layers too that are read in parts; their content is fetched. */
  readonly hashUpTo?: number;
}

/** The files of the layers of an artifact, without a complaint when there are none. */
export async function listFiles(
  kit: Kit,
  location: Location,
  { name, layers }: Pick<ArtifactLayers, 'name' | 'layers'>,
  { patterns = [], download = true, digests = false, hashUpTo = 0 }: ListOptions,
  call: CallOptions,
): Promise<{ readonly files: readonly LayerFile[]; readonly layers: readonly ListedLayer[] }> {
  const wanted = layers.filter(({ layer }) => patterns.length === 0 || mayHoldFile(layer, patterns));
  if (!download) refuseDownloads(wanted);
  announceDownloads(wanted, call);
  const found = new Map<SourcedLayer, { readonly files: readonly LayerFile[]; readonly layer: ListedLayer }>();
  let count = 0;
  await runAll(wanted, kit.concurrency, call.signal, async (item, signal) => {
    const list: LayerFile[] = [];
    const visit = async ({ file, isWhole, content }: ListedEntry): Promise<void> => {
      if (patterns.length > 0 && !patterns.some((pattern) => matchesPath(pattern, file.path))) return;
      checkFileCount((count += 1), name);
      const isHashed = digests && file.type === 'file' && file.digest === undefined && (isWhole || (file.size ?? 0) <= hashUpTo);
      list.push(isHashed ? { ...file, digest: await digestOfContent(content()) } : file);
    };
    const parts = partsFor(location, item);
    const layer = await listLayer(item, parts === 'any' && !download ? 'only' : parts, visit, { ...call, signal });
    found.set(item, { files: list, layer });
  });
  const inOrder = wanted.flatMap((item) => found.get(item) ?? []);
  return { files: inOrder.flatMap((one) => one.files), layers: inOrder.map(({ layer }) => layer) };
}

/** A blob of the store is known to be sound by its stamps; other files would have to be hashed, which looking is not worth. */
export function partsFor(location: Location, { source }: SourcedLayer): 'sound' | 'any' {
  return location.type === 'reference' && source.isLocal ? 'sound' : 'any';
}

type ListedEntry = Pick<WalkedEntry, 'file' | 'isWhole' | 'content'>;

async function listLayer(
  item: SourcedLayer,
  parts: Parts,
  visit: (entry: ListedEntry) => Promise<void>,
  call: CallOptions,
): Promise<ListedLayer> {
  const { role, name, path, descriptor, encoding } = item.layer;
  const { digest, mediaType, size } = descriptor;
  const common = { digest, role, name, path, mediaType, size };
  if (encoding === 'raw') {
    await visit({ file: rawFile(item.layer), isWhole: false, content: () => noContent() });
    return { ...common, read: 0, checked: 'manifest' };
  }
  const isDownload = isDownloaded(item);
  if (isDownload) call.onEvent?.({ type: 'blob', id: digest, action: 'pull', label: `${role} ${name ?? path}`, total: size });
  const { fetched, isChecked } = await walkLayer(item, parts, visit, call);
  if (isDownload) call.onEvent?.({ type: 'done', id: digest, outcome: 'copied' });
  return { ...common, read: fetched, checked: isChecked ? 'layer' : 'nothing' };
}

async function digestOfContent(content: AsyncIterable<Uint8Array>): Promise<Digest> {
  const digester = new Digester('sha256');
  for await (const chunk of content) {
    digester.update(chunk);
    releaseChunk(chunk);
  }
  return digester.digest();
}

async function* noContent(): AsyncGenerator<Uint8Array> {}

/** True for a compressed layer, from where its bytes cost something. */
function isDownloaded({ source, layer }: SourcedLayer): boolean {
  return !source.isLocal && layer.encoding === 'tar' && layer.compression !== 'none';
}

function refuseDownloads(layers: readonly SourcedLayer[]): void {
  const first = layers.find(isDownloaded)?.layer;
  if (first === undefined) return;
  const { descriptor, compression } = first;
  throw new KitError(
    'UNSUPPORTED',
    `layer ${descriptor.digest} is compressed (${compression}): to list it, all ${descriptor.size} bytes are read`,
    {
      hint: 'leave out `--no-download`, or name files of other layers',
    },
  );
}

function announceDownloads(layers: readonly SourcedLayer[], call: CallOptions): void {
  const bytes = layers.filter(isDownloaded).reduce((sum, { layer }) => sum + layer.descriptor.size, 0);
  if (bytes <= UNREMARKED) return;
  call.onEvent?.({
    type: 'warning',
    code: 'DOWNLOAD',
    message: `compressed layers must be read whole: ${bytes} bytes are fetched (\`--no-download\` refuses)`,
  });
}
