import { isKitError, KitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import { type ModelIndex, parseBody, parseModelIndex, type Variant } from '../../formats/model-index.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import type { Digest } from '../../oci/digest.ts';
import { parseManifest } from '../../oci/manifest.ts';
import { isIndexType } from '../../oci/media-types.ts';
import { formatLocation, type Location } from '../../oci/reference.ts';
import { isReferrersTag } from '../../oci/referrers-tag.ts';
import { fetchMetadata } from '../../targets/manifest-bytes.ts';
import type { ReadTarget } from '../../targets/types.ts';
import type { Kit } from '../kit.ts';
import { type Lookup, openSource, withDefaultTag } from '../artifact/open-location.ts';

/** An index of local storage. */
export interface ListedIndex {
  readonly repository: string;
  readonly digest: Digest;
  readonly tags: readonly string[];
  /** How many artifacts it lists; undefined where it cannot be read. */
  readonly variants: number | undefined;
}

/** The indexes in local storage, also those that are not of ModelKits; not the ones by which signatures are found. */
export async function listIndexes(kit: Kit, call: CallOptions = {}): Promise<ListedIndex[]> {
  const store = await kit.store();
  const listed: ListedIndex[] = [];
  for (const { repository, tags, descriptor } of await store.list()) {
    if (!isIndexType(descriptor.mediaType) || (tags.length > 0 && tags.every(isReferrersTag))) continue;
    const variants = await countVariants(store.blobs, descriptor, call);
    listed.push({ repository, digest: descriptor.digest, tags, variants });
  }
  return listed;
}

async function countVariants(blobs: Pick<ReadTarget, 'fetch'>, index: Descriptor, call: CallOptions): Promise<number | undefined> {
  try {
    return parseModelIndex(await fetchMetadata(blobs, index, call), index.digest).variants.length;
  } catch (error) {
    if (isKitError(error)) return undefined;
    throw error;
  }
}

/** An index as it was read, with its bytes checked. */
export interface LoadedIndex extends ModelIndex {
  readonly name: string;
  readonly descriptor: Descriptor;
  readonly bytes: Buffer;
  readonly target: ReadTarget;
}

/** @throws KitError UNSUPPORTED when it is no index, REFERENCE_NOT_FOUND */
export async function loadIndex(kit: Kit, location: Location, lookup: Lookup, call: CallOptions): Promise<LoadedIndex> {
  const source = await openSource(kit, withDefaultTag(location), lookup, call).catch((error: unknown) => {
    throw withIndexHint(error, location);
  });
  const descriptor = await source.target.resolve(source.reference, call);
  requireIndex(descriptor, source.name);
  const bytes = await fetchMetadata(source.target, descriptor, call);
  return { ...parseModelIndex(bytes, source.name), name: source.name, descriptor, bytes, target: source.target };
}

function withIndexHint(error: unknown, location: Location): unknown {
  if (!isKitError(error, 'REFERENCE_NOT_FOUND') || location.type !== 'reference') return error;
  const name = formatLocation(location);
  const hint =
    location.reference.registry === undefined
      ? '`kit index list` shows what there is'
      : `\`kit index pull ${name}\` fetches it; \`--remote\` looks in the registry`;
  return new KitError(error.code, `the index ${name} is not in local storage`, { cause: error, hint });
}

/** @throws KitError UNSUPPORTED */
export function requireIndex({ mediaType }: Descriptor, name: string): void {
  if (isIndexType(mediaType)) return;
  throw new KitError('UNSUPPORTED', `${name} is no index`, { hint: '`kit inspect` shows what it is' });
}

export interface IndexInfo {
  readonly reference: string;
  readonly digest: Digest;
  /** False for an index of platforms or of other kinds, such as a Modelcar. */
  readonly isOfModelKits: boolean;
  readonly variants: readonly (Variant & { readonly reference: string | undefined })[];
}

/** What an index offers. Sizes that it does not say are read from the manifests, where these can be had. */
export async function indexInfo(kit: Kit, location: Location, lookup: Lookup, call: CallOptions = {}): Promise<IndexInfo> {
  const { name, descriptor, isOfModelKits, variants, target } = await loadIndex(kit, location, lookup, call);
  const described: (Variant & { readonly reference: string | undefined })[] = [];
  for (const variant of variants) {
    const size = variant.size ?? (await sizeOf(target, variant.descriptor, call));
    described.push({ ...variant, size, reference: variant.tag === undefined ? undefined : siblingOf(location, variant.tag) });
  }
  return { reference: name, digest: descriptor.digest, isOfModelKits, variants: described };
}

/** What the tag is called in the place of the index. */
function siblingOf(location: Location, tag: string): string {
  if (location.type !== 'reference') return formatLocation({ ...location, reference: tag });
  return formatLocation({ type: 'reference', reference: { ...location.reference, tags: [tag], digest: undefined } });
}

async function sizeOf(target: ReadTarget, manifest: Descriptor, call: CallOptions): Promise<number | undefined> {
  try {
    const { layers } = parseManifest(await fetchMetadata(target, manifest, call), manifest.digest);
    return layers.reduce((sum, { size }) => sum + size, 0);
  } catch (error) {
    // it need not be here, nor there
    if (isKitError(error, 'BLOB_NOT_FOUND', 'REFERENCE_NOT_FOUND', 'MANIFEST_INVALID')) return undefined;
    throw error;
  }
}

/** The index with every field that it has, as JSON. */
export async function inspectIndex(
  kit: Kit,
  location: Location,
  lookup: Lookup,
  call: CallOptions = {},
): Promise<Readonly<Record<string, unknown>>> {
  return parseBody((await loadIndex(kit, location, lookup, call)).bytes);
}
