import { posix } from 'node:path';
import { KitError } from '../errors.ts';
import { kitfileFields } from '../kitfile/fields.ts';
import { cleanLayerPath } from '../kitfile/layer-path.ts';
import { readKitfileJson } from '../kitfile/read-json.ts';
import { type Kitfile, kitfileEntries, type KitfileEntry, type Role } from '../kitfile/types.ts';
import type { Annotations } from '../oci/descriptor.ts';
import { type JsonValue, stringifyLikeGo } from '../oci/json.ts';
import type { Manifest } from '../oci/manifest.ts';
import { layerInfoIn } from './layer-info.ts';
import { parseJson } from './parse-json.ts';
import type { ArtifactLayer, PackedLayer } from './types.ts';

/** Where KitOps keeps the Kitfile of an artifact whose config has no room for it: as JSON, with digest and diffId beside each entry. */
const KITFILE = 'ml.kitops.modelkit.kitfile';
/** The Kitfile as its author wrote it, where the one for KitOps had to be spelled out file by file. */
const WRITTEN = 'dev.ocikit.kitfile';

/**
 * The manifest annotations that carry a Kitfile. KitOps finds one layer for each entry, by its digest: an entry that became several
 * layers is spelled out for it.
 */
export function carryKitfile(kitfile: Kitfile, layers: readonly PackedLayer[]): Annotations {
  const spelled = new Spelled(kitfile, layers);
  const annotations = { [KITFILE]: stringifyLikeGo(kitfileFields(spelled.kitfile, (role, index) => spelled.find(role, index))) };
  if (!spelled.isDifferent) return annotations;
  const find = (role: Role, index: number) => spelled.ownLayer(role, index);
  return { [WRITTEN]: stringifyLikeGo(kitfileFields(kitfile, find)), ...annotations };
}

type Info = { readonly digest: string; readonly diffId: string } | undefined;
type Item = { readonly path?: string; readonly name?: string; readonly parameters?: unknown };

/** A Kitfile with an entry for each layer. */
class Spelled {
  readonly kitfile: Kitfile;
  isDifferent = false;
  readonly #groups = new Map<string, PackedLayer[]>();
  readonly #layers = new Map<string, PackedLayer>();

  constructor(kitfile: Kitfile, layers: readonly PackedLayer[]) {
    for (const layer of layers) {
      const key = `${layer.role}:${layer.index}`;
      const group = this.#groups.get(key);
      if (group === undefined) this.#groups.set(key, [layer]);
      else group.push(layer);
    }
    this.kitfile = {
      ...kitfile,
      ...(kitfile.model && { model: this.#model(kitfile.model) }),
      ...(kitfile.code && { code: this.#list('code', kitfile.code) }),
      ...(kitfile.datasets && { datasets: this.#list('dataset', kitfile.datasets) }),
      ...(kitfile.docs && { docs: this.#list('docs', kitfile.docs) }),
      ...(kitfile.prompts && { prompts: this.#list('prompt', kitfile.prompts) }),
    };
  }

  find(role: Role, index: number): Info {
    return toInfo(this.#layers.get(`${role}:${index}`));
  }

  /** The layer of an entry of the original that is the only one. */
  ownLayer(role: Role, index: number): Info {
    const group = this.#groups.get(`${role}:${index}`);
    return group?.length === 1 ? toInfo(group[0]) : undefined;
  }

  // KitOps knows one file as the model, and the others as its parts
  #model(model: NonNullable<Kitfile['model']>): NonNullable<Kitfile['model']> {
    const own = this.#spell('model', 0, model);
    const main = own.findIndex(({ layer }) => layer !== undefined && isWeight(layer));
    const [first = { item: model, layer: undefined }] = own.splice(Math.max(0, main), 1);
    this.#take('model', 0, first.layer);
    const parts = [
      ...own.map(({ item, layer }) => ({ item: { path: item.path ?? '', ...(item.license && { license: item.license }) }, layer })),
      ...(model.parts ?? []).flatMap((part, index) => this.#spell('modelpart', index, part)),
    ];
    parts.forEach(({ layer }, index) => this.#take('modelpart', index, layer));
    const { parts: _, ...rest } = first.item;
    return { ...rest, ...(parts.length > 0 && { parts: parts.map(({ item }) => item) }) };
  }

  #list<T extends Item>(role: Role, items: readonly T[]): T[] {
    const spelled = items.flatMap((item, index) => this.#spell(role, index, item));
    spelled.forEach(({ layer }, index) => this.#take(role, index, layer));
    return spelled.map(({ item }) => item);
  }

  #spell<T extends Item>(role: Role, index: number, item: T): { item: T; layer: PackedLayer | undefined }[] {
    const group = this.#groups.get(`${role}:${index}`) ?? [];
    const [only] = group;
    if (group.length === 0 || (group.length === 1 && only?.path === cleanLayerPath(item.path))) return [{ item, layer: only }];
    this.isDifferent = true;
    // what is long is said once
    const { parameters: _, ...others } = item;
    return group.map((layer, at) => ({ item: { ...(at === 0 ? item : others), path: layer.path } as T, layer }));
  }

  #take(role: Role, index: number, layer: PackedLayer | undefined): void {
    if (layer !== undefined) this.#layers.set(`${role}:${index}`, layer);
  }
}

function isWeight({ descriptor }: PackedLayer): boolean {
  return /\.(?:weight\.v1\.|gguf\.v3$|safetensors$|dduf$)|mlmodel$/.test(descriptor.mediaType);
}

function toInfo(layer: PackedLayer | undefined): Info {
  return layer && { digest: layer.descriptor.digest, diffId: layer.diffId };
}

/** The Kitfile that a manifest carries. @throws KitError MANIFEST_INVALID */
export function carriedKitfile({ annotations }: Manifest, name: string): { kitfile: Kitfile; json: JsonValue } | undefined {
  const key = [WRITTEN, KITFILE].find((candidate) => annotations?.[candidate] !== undefined);
  if (key === undefined) return undefined;
  const json = parseJson(annotations?.[key] ?? '', `${name}: the annotation ${key}`);
  if (json === null || typeof json !== 'object' || Array.isArray(json))
    throw new KitError('MANIFEST_INVALID', `${name}: the annotation ${key} holds no Kitfile`);
  return { kitfile: readKitfileJson(json, name), json };
}

/** The layers with role, name and path of the entries that they belong to: by path, by digest, or within the folder of an entry. */
export function matchEntries(
  layers: readonly ArtifactLayer[],
  { kitfile, json }: { readonly kitfile: Kitfile; readonly json: JsonValue },
  name: string,
): ArtifactLayer[] {
  const byPath = new Map<string, KitfileEntry>();
  const byDigest = new Map<string, KitfileEntry>();
  for (const entry of kitfileEntries(kitfile)) {
    if (entry.path !== undefined) byPath.set(cleanLayerPath(entry.path), entry);
    const digest = layerInfoIn(json, entry, name)?.digest;
    if (digest !== undefined) byDigest.set(digest, entry);
  }
  return layers.map((layer) => {
    const path = cleanLayerPath(layer.path);
    const exact = byPath.get(path) ?? byDigest.get(layer.descriptor.digest);
    if (exact !== undefined) return { ...layer, role: exact.role, name: exact.name, path: exact.path ?? layer.path };
    const around = entryAround(path, byPath);
    return around === undefined ? layer : { ...layer, role: around.role, name: around.name, within: around.path };
  });
}

function entryAround(path: string, byPath: ReadonlyMap<string, KitfileEntry>): KitfileEntry | undefined {
  for (let folder = posix.dirname(path); folder !== '/'; folder = posix.dirname(folder)) {
    const entry = byPath.get(folder);
    if (entry !== undefined || folder === '.') return entry;
  }
  return undefined;
}
