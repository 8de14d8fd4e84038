import type { Member, TargetContent } from '../../catalog/catalog.ts';
import { documentText } from '../../catalog/document.ts';
import { CODES, isKitError, KitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import { parseModelIndex } from '../../formats/model-index.ts';
import { formatOf } from '../../formats/registry.ts';
import { kitfileFields } from '../../kitfile/fields.ts';
import type { Kitfile } from '../../kitfile/types.ts';
import type { ModelSummary } from '../../model-files/summary.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import { type JsonValue, parseExactJson, stringifyExact } from '../../oci/json.ts';
import { parseIndex, parseManifest } from '../../oci/manifest.ts';
import { ANNOTATION, isIndexType, isManifestLike } from '../../oci/media-types.ts';
import { fetchMetadata } from '../../targets/manifest-bytes.ts';
import type { Kit } from '../kit.ts';
import type { LoadedArtifact } from '../artifact/load-artifact.ts';
import type { Repository } from './places.ts';
import { inspectTensors } from '../tensors/tensors.ts';

/** Of one tag: an index that has more was made to keep us busy. */
const MAX_MEMBERS = 1000;
const MAX_INDEX_DEPTH = 3;

/** Reads what a manifest, or each member of an index, says of itself: manifests and configs, and headers of weights if tensors are wanted. */
export class FactReader {
  readonly #kit: Kit;
  readonly #withTensors: boolean;
  readonly #call: CallOptions;

  constructor(kit: Kit, withTensors: boolean, call: CallOptions) {
    this.#kit = kit;
    this.#withTensors = withTensors;
    this.#call = call;
  }

  /** `isPartial` where members of an index are not there. @throws KitError MANIFEST_INVALID | DIGEST_MISMATCH | LIMIT_EXCEEDED ... when any of it cannot be read */
  async read(repository: Repository, descriptor: Descriptor): Promise<TargetContent & { readonly isPartial: boolean }> {
    const target = descriptor.digest;
    if (!isIndexType(descriptor.mediaType))
      return { target, members: [await this.#member(repository, descriptor, null)], isPartial: false };
    const found = new Map<string, Member>();
    const isPartial = !(await this.#index(repository, descriptor, found, 0));
    // an index without manifests is known, too
    const members = found.size === 0 ? [{ digest: target, detail: null, document: null, tensors: null }] : [...found.values()];
    return { target, members, isPartial };
  }

  /** False where some of it is not there. */
  async #index(repository: Repository, descriptor: Descriptor, found: Map<string, Member>, depth: number): Promise<boolean> {
    const name = `${repository.name}@${descriptor.digest}`;
    const bytes = await fetchMetadata(repository.target, descriptor, this.#call);
    const { manifests } = parseIndex(bytes, name);
    const labels = new Map(parseModelIndex(bytes, name).variants.map((variant) => [variant.descriptor.digest, variant.labels]));
    let isWhole = true;
    for (const child of manifests) {
      if (!isManifestLike(child.mediaType) || found.has(child.digest)) continue;
      if (found.size >= MAX_MEMBERS || depth >= MAX_INDEX_DEPTH) {
        const what = depth >= MAX_INDEX_DEPTH ? `${MAX_INDEX_DEPTH} levels` : `${MAX_MEMBERS} members`;
        throw new KitError('LIMIT_EXCEEDED', `${name}: the index has more than ${what}`);
      }
      const { annotations, platform } = child as Descriptor & { readonly platform?: unknown };
      try {
        if (isIndexType(child.mediaType)) isWhole = (await this.#index(repository, child, found, depth + 1)) && isWhole;
        else {
          const detail = documentText({ labels: labelFields(labels.get(child.digest)), annotations, platform }, name);
          found.set(child.digest, await this.#member(repository, child, detail));
        }
      } catch (error) {
        // of an index one may have only the variants that one uses
        if (!isKitError(error, 'BLOB_NOT_FOUND')) throw error;
        isWhole = false;
      }
    }
    return isWhole;
  }

  async #member(repository: Repository, descriptor: Descriptor, detail: string | null): Promise<Member> {
    const { digest } = descriptor;
    const name = `${repository.name}@${digest}`;
    const artifact = await this.#artifact(repository, descriptor, name);
    if (artifact?.kitfile === undefined) return { digest, detail, document: null, tensors: null };
    const tensors = this.#withTensors ? documentText(await this.#tensors(repository, descriptor), name) : null;
    return { digest, detail, document: documentText(factsOf(artifact), name), tensors };
  }

  /** Undefined for what is no model. */
  async #artifact({ target }: Repository, descriptor: Descriptor, name: string): Promise<LoadedArtifact | undefined> {
    const manifest = parseManifest(await fetchMetadata(target, descriptor, this.#call), name);
    const format = formatOf(manifest);
    // the format of last resort knows no models: its config need not be fetched
    if (format.name === 'artifact') return undefined;
    const config = await fetchMetadata(target, manifest.config, this.#call);
    try {
      return { ...format.read(manifest, config, name), descriptor, manifest, config };
    } catch (error) {
      if (error instanceof KitError && error.code === 'UNSUPPORTED') return undefined;
      throw error;
    }
  }

  async #tensors({ at, lookup }: Repository, { digest }: Descriptor): Promise<Record<string, unknown>> {
    try {
      // quietly: what is wrong with one of many models is told in its place
      const { summary } = await inspectTensors(
        this.#kit,
        at(digest),
        lookup,
        this.#call.signal === undefined ? {} : { signal: this.#call.signal },
      );
      return tensorFields(summary);
    } catch (error) {
      if (!(error instanceof KitError) || !isAboutContent(error)) throw error;
      return { problem: error.message };
    }
  }
}

/** Labels may be any JSON, with numbers as they were written. */
function labelFields(labels: ReadonlyMap<string, unknown> = new Map()): JsonValue | undefined {
  return labels.size === 0 ? undefined : parseExactJson(stringifyExact(labels));
}

/** True for what asking again would not change. */
export function isAboutContent({ code }: KitError): boolean {
  return ['integrity', 'notFound', 'usage'].includes(CODES[code].exit) || code === 'UNSUPPORTED' || code === 'REFERENCE_CYCLE';
}

function tensorFields({
  parameters,
  tensors: count,
  formats,
  architecture,
  quantization,
  contextLength,
  dtypes,
  memory,
}: ModelSummary): Record<string, unknown> {
  const { weights, keyValueCache, total } = memory;
  return { parameters, count, formats, architecture, quantization, contextLength, dtypes, memory: { weights, keyValueCache, total } };
}

function factsOf({ descriptor, manifest, config, format, kitfile, layers }: LoadedArtifact): Record<string, unknown> {
  const { digest, mediaType } = descriptor;
  const { artifactType, annotations } = manifest;
  return {
    digest,
    mediaType,
    artifactType,
    format,
    size: manifest.layers.reduce((sum, layer) => sum + layer.size, 0),
    layers: layers.length,
    created: annotations?.[ANNOTATION.created],
    ...(kitfile === undefined ? {} : kitfileFields(withoutFiles(kitfile))),
    annotations: annotations === undefined || Object.keys(annotations).length === 0 ? undefined : annotations,
    customProperties: format === 'omlmd' ? customProperties(config) : undefined,
  };
}

/** Lists of files that are elsewhere are long, and nobody asks for one of them. */
function withoutFiles({ model, datasets, ...kitfile }: Kitfile): Kitfile {
  return { ...kitfile, ...(model && { model: withoutList(model) }), ...(datasets && { datasets: datasets.map(withoutList) }) };
}

function withoutList<T extends { readonly remoteFiles?: unknown }>({ remoteFiles: _list, ...entry }: T): Omit<T, 'remoteFiles'> {
  return entry;
}

/** The format has read the config: it is an object. */
function customProperties(config: Buffer): JsonValue | undefined {
  const { customProperties: found } = parseExactJson(config.toString('utf8')) as { customProperties?: JsonValue };
  return found ?? undefined;
}
