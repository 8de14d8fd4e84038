import { posix } from 'node:path';
import type { CallOptions } from '../../events.ts';
import { readRemoteFile } from '../../hub/remote-file.ts';
import { fileKind, isLicenseName } from '../../kitfile/file-kind.ts';
import { generateKitfile, levelsOf, MAX_TEXT, needsText } from '../../kitfile/generate.ts';
import { KITFILE_NAMES, MAX_KITFILE_SIZE } from '../../kitfile/parse.ts';
import { spdxOfHub } from '../../kitfile/spdx-of-hub.ts';
import type { Kitfile } from '../../kitfile/types.ts';
import { cleanLayerPath } from '../../kitfile/layer-path.ts';
import type { ImportedCard } from '../import-source/source.ts';
import type { ImportTree } from '../import-source/tree.ts';
import type { KitfileText } from '../pack/read-kitfile.ts';

const MAX_METADATA_FILE = 1024 * 1024;
/** So many skills are asked for their names; the others keep their paths. */
const MAX_SKILLS = 64;

/** The Kitfile that the files bring along; undefined where there is none. */
export async function carriedKitfile(tree: ImportTree, id: string, call: CallOptions): Promise<KitfileText | undefined> {
  for (const name of KITFILE_NAMES) {
    const file = tree.file(name);
    if (file === undefined) continue;
    const bytes = await readRemoteFile(file, MAX_KITFILE_SIZE, call);
    return { text: new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes), file: `${name} of ${id}` };
  }
  return undefined;
}

/** What `kit init` would write for the files, with license, framework and format as far as card and config.json tell. */
export async function describeImport(tree: ImportTree, card: ImportedCard, depth: number | undefined, call: CallOptions): Promise<Kitfile> {
  const [author, name = author] = card.id.split('/');
  const found = tree.entries(levelsOf(depth));
  // the card knows better than a license file
  const told = found.filter((entry) => needsText(entry) && (card.license === undefined || !isLicenseName(entry.path)));
  const wanted = new Set(told.slice(0, MAX_SKILLS));
  const entries = await Promise.all(
    found.map(async (entry) => {
      const file = wanted.has(entry) ? tree.file(entry.path) : undefined;
      return file === undefined ? entry : { ...entry, text: (await readRemoteFile(file, MAX_TEXT, call)).toString() };
    }),
  );
  const generated = generateKitfile(entries, {
    name,
    depth,
    description: card.title,
    author: card.id.includes('/') ? author : undefined,
  });
  const kitfile = card.type === 'dataset' ? asDataset(generated, tree) : generated;
  return withLicense(await withFramework(kitfile, tree, card, name, call), card.license);
}

/** As many entries as anyone would read; beyond, one stands for all. */
const MAX_DATASETS = 64;

/** In a dataset, what is neither documentation nor a script is data, whatever it looks like. */
function asDataset({ manifestVersion, package: about, docs = [] }: Kitfile, tree: ImportTree): Kitfile {
  const documented = new Set(docs.map(({ path }) => path));
  const isScript = (path: string): boolean => tree.filesBelow(path).every((file) => /\.(?:py|sh|ipynb)$/.test(file.path));
  const tops = tree.topLevel().filter((path) => !documented.has(path) && !KITFILE_NAMES.some((name) => name === path));
  const code = tops.filter(isScript).map((path) => ({ path }));
  const data = tops.filter((path) => !isScript(path)).map((path) => ({ path }));
  return {
    manifestVersion,
    package: about,
    ...(code.length > 0 && { code }),
    ...(data.length > 0 && { datasets: data.length > MAX_DATASETS ? [{ path: '.' }] : data }),
    ...(docs.length > 0 && { docs }),
  };
}

async function withFramework(
  kitfile: Kitfile,
  tree: ImportTree,
  card: ImportedCard,
  name: string | undefined,
  call: CallOptions,
): Promise<Kitfile> {
  const { model } = kitfile;
  if (model === undefined) return kitfile;
  const framework = card.library ?? (await frameworkOf(tree, call));
  const format = formatOf(model.path);
  return {
    ...kitfile,
    model: {
      ...model,
      // that of the file is model, pytorch_model or the name of a shard, more often than not
      ...(name !== undefined && { name }),
      ...(framework !== undefined && { framework }),
      ...(format !== undefined && { format }),
    },
  };
}

const PLAIN_FORMATS = ['safetensors', 'gguf', 'onnx', 'tflite', 'keras'] as const;

function formatOf(path: string | undefined): string | undefined {
  if (path === undefined || fileKind(path) !== 'model') return undefined;
  const extension = posix.extname(path).slice(1);
  if (extension === 'bin' || extension === 'pt' || extension === 'pth') return 'pytorch';
  return PLAIN_FORMATS.find((format) => format === extension);
}

/** By what only one library writes into config.json or model_index.json. */
async function frameworkOf(tree: ImportTree, call: CallOptions): Promise<string | undefined> {
  const config = await readJson(tree, 'config.json', call);
  if (config !== undefined && ['model_type', 'architectures', 'transformers_version'].some((key) => key in config)) return 'transformers';
  const index = await readJson(tree, 'model_index.json', call);
  return index !== undefined && '_diffusers_version' in index ? 'diffusers' : undefined;
}

async function readJson(tree: ImportTree, path: string, call: CallOptions): Promise<object | undefined> {
  const file = tree.file(path);
  if (file === undefined || file.size > MAX_METADATA_FILE) return undefined;
  const bytes = await readRemoteFile(file, MAX_METADATA_FILE, call);
  try {
    const value: unknown = JSON.parse(bytes.toString());
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}

/** What the card says holds for all of it. */
function withLicense(kitfile: Kitfile, given: string | undefined): Kitfile {
  if (given === undefined) return kitfile;
  const license = spdxOfHub(given);
  if (kitfile.model !== undefined) return { ...kitfile, model: { ...kitfile.model, license } };
  if (kitfile.datasets?.length === 1) return { ...kitfile, datasets: kitfile.datasets.map((dataset) => ({ ...dataset, license })) };
  return { ...kitfile, package: { ...kitfile.package, license } };
}

/** The same with an entry for each file, so that every layer can be raw. */
export function withEntryPerFile(kitfile: Kitfile, tree: ImportTree): Kitfile {
  const taken = new Set(
    [kitfile.model, ...(kitfile.model?.parts ?? []), ...(kitfile.code ?? []), ...(kitfile.datasets ?? []), ...(kitfile.docs ?? [])].flatMap(
      (entry) => (entry?.path === undefined ? [] : [cleanLayerPath(entry.path)]),
    ),
  );
  const each = <T extends { readonly path?: string }>(entries: readonly T[]): T[] =>
    entries.flatMap((entry) => {
      const path = cleanLayerPath(entry.path);
      if (tree.file(path) !== undefined) return [entry];
      const files = tree.filesBelow(path).filter((file) => !taken.has(file.path) && !isBelowOther(file.path, path, taken));
      return files.map((file) => ({ ...entry, path: file.path }));
    });
  const { code, datasets, docs } = kitfile;
  return {
    ...kitfile,
    ...(code && { code: each(code) }),
    ...(datasets && { datasets: each(datasets) }),
    ...(docs && { docs: each(docs) }),
  };
}

function isBelowOther(file: string, own: string, taken: ReadonlySet<string>): boolean {
  for (let path = posix.dirname(file); path !== '.' && path !== own; path = posix.dirname(path)) if (taken.has(path)) return true;
  return false;
}
