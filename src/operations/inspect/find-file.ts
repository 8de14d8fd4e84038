import { isWithin } from '../../blobs/safe-path.ts';
import { verified } from '../../blobs/verified.ts';
import { releaseChunk } from '../../chunk.ts';
import { KitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import { cleanLayerPath } from '../../kitfile/layer-path.ts';
import { type Digest, Digester } from '../../oci/digest.ts';
import { runAll } from '../../targets/run-all.ts';
import type { ArtifactLayers } from '../artifact/artifact-layers.ts';
import type { CatArguments } from './cat.ts';
import { partsFor } from './files.ts';
import type { Kit } from '../kit.ts';
import type { SourcedLayer } from '../artifact/layer-bytes.ts';
import { checkFileCount, type LayerFile, mayHoldFile, rawFile, type WalkedEntry, walkLayer } from '../artifact/layer-files.ts';
import { matchesPath } from '../artifact/path-pattern.ts';
import { type ListedFile, referredFiles, type ReferredRow } from '../remote-content/listed.ts';

/** A file that matches, with what was learned of it on the way. */
export interface FoundFile {
  readonly item: SourcedLayer;
  readonly file: LayerFile;
  /** Where its content begins in the uncompressed layer. */
  readonly start: number;
  /** Of a small file of a tar layer. */
  content?: Uint8Array;
  /** The digest that the content must have when it is read again. */
  expected?: Digest | undefined;
  /** A digest covers the content. */
  isChecked: boolean;
}

/** Up to this size content is kept while a layer goes by, and no more than so much of all files that may be the one. */
const KEPT = 16 * 1024 * 1024;
const KEPT_IN_ALL = 4 * KEPT;
/** Names that an error lists. */
const MAX_LISTED = 20;

/** The one file that `path` names; a row for one that stays elsewhere. @throws KitError PATH_NOT_FOUND | USAGE when it is not one | UNSUPPORTED for what is no file */
export async function findFile(
  kit: Kit,
  { name, layers, elsewhere }: ArtifactLayers,
  args: CatArguments,
  call: CallOptions,
): Promise<FoundFile | ReferredRow> {
  const path = cleanLayerPath(args.path.replace(/^\/+/, ''));
  const rows = referredFiles(elsewhere);
  const referred = rows.find(({ file }) => file.path === path && file.type === 'file');
  if (referred !== undefined) return referred;
  const wanted = layers.filter(({ layer }) => mayHoldFile(layer, [args.path]));
  const found = new Map<SourcedLayer, FoundFile[]>();
  const search: Search = { path, args, name, keptBytes: 0, count: 0 };
  for (const batch of batches(wanted)) {
    await runAll(batch, kit.concurrency, call.signal, async (item, signal) => {
      found.set(item, await lookInto(item, search, { ...call, signal }));
    });
    if ([...found.values()].flat().some(({ file }) => settles(file, path))) break;
  }
  const all = wanted.flatMap((item) => found.get(item) ?? []);
  return chooseOne([...all.filter((one) => !isHidden(one, all)), ...rows.filter(({ file }) => matchesPath(args.path, file.path))], path, {
    asked: args.path,
    name,
    isPartlyElsewhere: elsewhere.length > 0,
  });
}

/** Which layers to look into at once, and which only where the ones before did not have the path. */
function batches(layers: readonly SourcedLayer[]): SourcedLayer[][] {
  // an image: what is in an upper layer counts
  if (layers.some(({ layer }) => layer.role === 'file' && layer.encoding === 'tar')) return layers.toReversed().map((item) => [item]);
  return [layers.filter(isCheap), layers.filter((item) => !isCheap(item))];
}

function isCheap({ layer }: SourcedLayer): boolean {
  return layer.encoding === 'raw' || layer.compression === 'none';
}

/** True when nothing that is found elsewhere changes what the path means. */
function settles(file: LayerFile, path: string): boolean {
  return isMark(file) ? hides(file, path) : file.path === path;
}

function isMark({ type }: LayerFile): boolean {
  return type === 'whiteout' || type === 'opaque';
}

function hides({ type, path }: LayerFile, other: string): boolean {
  return type === 'whiteout' ? isWithin(other, path) : other !== path && isWithin(other, path);
}

/** In an image, by what an upper layer takes away or puts in its place. */
function isHidden(one: FoundFile, all: readonly FoundFile[]): boolean {
  if (isMark(one.file)) return true;
  if (one.item.layer.role !== 'file') return false;
  const layersAbove = all.slice(all.indexOf(one)).filter(({ item }) => item !== one.item);
  return layersAbove.some(({ file }) => (isMark(file) ? hides(file, one.file.path) : file.path === one.file.path));
}

/** What the looks into all layers share. */
interface Search {
  /** Clean. */
  readonly path: string;
  readonly args: CatArguments;
  /** Of the artifact. */
  readonly name: string;
  keptBytes: number;
  count: number;
}

async function lookInto(item: SourcedLayer, search: Search, call: CallOptions): Promise<FoundFile[]> {
  const { args, path } = search;
  if (item.layer.encoding === 'raw') return [{ item, file: rawFile(item.layer), start: 0, isChecked: true }];
  const usual = partsFor(args.source, item);
  const found: FoundFile[] = [];
  const visit = async (entry: WalkedEntry): Promise<void> => {
    const { file, start } = entry;
    if (!isMark(file) && !matchesPath(args.path, file.path)) return;
    const one: FoundFile = { item, file, start, isChecked: false };
    checkFileCount((search.count += 1), search.name);
    found.push(one);
    if (file.type === 'file') await readAlong(one, entry, found.length === 1 || file.path === path, search);
  };
  const { isChecked } = await walkLayer(item, args.verify === true && usual === 'any' ? 'never' : usual, visit, call);
  for (const one of found) one.isChecked ||= isChecked;
  return found;
}

/** Keeps the content of a small file that may be the one; the digest of any other, where the content goes by anyway. */
async function readAlong(one: FoundFile, entry: WalkedEntry, isLikely: boolean, search: Search): Promise<void> {
  const { path, size = 0 } = one.file;
  one.expected = search.args.digestOf?.(path);
  const isKept = isLikely && size <= KEPT && search.keptBytes + size <= KEPT_IN_ALL;
  if (!isKept && !entry.isWhole) {
    one.isChecked = one.expected !== undefined;
    return;
  }
  if (isKept) search.keptBytes += size;
  const content = entry.content();
  const bytes = one.expected === undefined ? content : verified(content, { mediaType: '', digest: one.expected, size });
  const digester = new Digester('sha256');
  // nothing is reserved for a size that is only claimed
  const kept: Uint8Array[] = [];
  for await (const chunk of bytes) {
    if (isKept) kept.push(Buffer.from(chunk));
    else digester.update(chunk);
    releaseChunk(chunk);
  }
  one.isChecked = one.expected !== undefined;
  if (isKept) one.content = Buffer.concat(kept);
  else one.expected ??= digester.digest();
}

interface Asked {
  readonly asked: string;
  /** Of the artifact. */
  readonly name: string;
  /** It refers to content that it does not hold. */
  readonly isPartlyElsewhere: boolean;
}

type Candidate = FoundFile | ReferredRow;

function chooseOne(found: readonly Candidate[], path: string, { asked, name, isPartlyElsewhere }: Asked): Candidate {
  const exact = found.filter(({ file }) => file.path === path);
  const files = exact.length > 0 ? exact : found.filter(({ file }) => file.type === 'file');
  const [only, ...others] = files.length > 0 ? files : found;
  if (only === undefined) {
    throw new KitError('PATH_NOT_FOUND', `${name} has no file ${asked}`, {
      hint:
        asked === 'Kitfile'
          ? `\`kit info ${name}\` shows the Kitfile`
          : `\`kit files ${name}\` lists what there is${isPartlyElsewhere ? `; \`kit unpack ${name} --include-remote\` fetches what is elsewhere` : ''}`,
    });
  }
  if (others.length > 0) throw ambiguous([only, ...others], { asked, name });
  const { type } = only.file;
  if (type === 'file') return only;
  throw new KitError('UNSUPPORTED', `${only.file.path} is a ${type}, not a file`, {
    hint: `\`kit files ${name} ${only.file.path}\` lists what there is`,
  });
}

function ambiguous(found: readonly Candidate[], { asked, name }: Pick<Asked, 'asked' | 'name'>): KitError {
  const lines = found.map(
    ({ file }: { readonly file: ListedFile }) =>
      `\n  ${file.path} (${file.layer === undefined ? `at ${file.remote}` : `layer ${file.layer}`})`,
  );
  const more = lines.length > MAX_LISTED ? `\n  and ${lines.length - MAX_LISTED} more` : '';
  return new KitError('USAGE', `${asked} names ${lines.length} files of ${name}:${lines.slice(0, MAX_LISTED).join('')}${more}`, {
    hint: 'name one; `./NAME` is the one in the root; `kit unpack --filter path:PATTERN` takes several',
  });
}
