import { bytesSource } from '../../blob-source.ts';
import { isKitError, KitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import { type Edits, emptyModelIndex, parseModelIndex, withoutVariant, withVariant } from '../../formats/model-index.ts';
import { formatParameters } from '../../formats/model-facts.ts';
import { describe, type Descriptor } from '../../oci/descriptor.ts';
import type { Digest } from '../../oci/digest.ts';
import { childrenOf } from '../../oci/manifest.ts';
import { isIndexType, isManifestLike, isManifestType, MAX_METADATA_BYTES, MEDIA_TYPE } from '../../oci/media-types.ts';
import { formatReference, type Reference, referenceTarget, repositoryName } from '../../oci/reference.ts';
import { fetchMetadata } from '../../targets/manifest-bytes.ts';
import { addManifest, addTag, removeManifests, tagsOn } from '../../targets/repository-index.ts';
import { repositoryOf, type StoreIndex, withRepository } from '../../targets/store-index.ts';
import type { Store } from '../../targets/store.ts';
import type { ReadTarget } from '../../targets/types.ts';
import type { Kit } from '../kit.ts';
import { type LoadedArtifact, loadArtifact } from '../artifact/load-artifact.ts';
import { listIndexes, type LoadedIndex, loadIndex, requireIndex } from './model-index.ts';
import { openSource } from '../artifact/open-location.ts';
import { factsOfLayers } from '../sbom/weight-facts.ts';

/** An index after a change. */
export interface EditedIndex {
  readonly reference: string;
  readonly digest: Digest;
}

/** Makes an index of no ModelKits in local storage. @throws KitError REFERENCE_EXISTS */
export async function createIndex(kit: Kit, reference: Reference, call: CallOptions = {}): Promise<EditedIndex> {
  const index = requireTag(reference);
  const name = formatReference(index);
  const make = (before: Descriptor | undefined): IndexContent => {
    if (before === undefined) return described(emptyModelIndex());
    throw new KitError('REFERENCE_EXISTS', `${name} exists already: it is ${before.digest}`, {
      hint: `choose another tag, or take that one away: \`kit remove ${name}\``,
    });
  };
  return await replaceIndex(kit, index, make, call);
}

export interface AddToIndexArguments {
  readonly index: Reference;
  /** By tag or digest, in the repository of the index. */
  readonly modelkit: Reference;
  /** Looks for it in the registry, not in local storage; nothing but its manifest is read. */
  readonly remote?: boolean;
  readonly labels?: Edits<unknown>;
  readonly annotations?: Edits<string>;
  /** Labels from the headers of its weights: format, architecture, parameters, quantization. Those that are given go before them. */
  readonly detect?: boolean;
}

const NO_EDITS = { set: new Map<string, never>(), remove: new Set<string>() } as const;

/** Adds a ModelKit to an index of local storage, or changes the labels of one that is in it. @throws KitError REFERENCE_NOT_FOUND | USAGE */
export async function addToIndex(kit: Kit, args: AddToIndexArguments, call: CallOptions = {}): Promise<EditedIndex> {
  const { modelkit, labels = NO_EDITS, annotations = NO_EDITS } = args;
  const index = requireTag(args.index);
  const name = formatReference(modelkit);
  if (modelkit.tags.length > 1) throw new KitError('USAGE', `${name}: one ModelKit is added at a time`);
  if (modelkit.tags.length === 0 && modelkit.digest === undefined)
    throw new KitError('USAGE', `${name} has neither tag nor digest`, { hint: `write \`${name}:TAG\`` });
  requireSameRepository(index, modelkit);
  const source = await openSource(kit, { type: 'reference', reference: modelkit }, args.remote === true ? 'remote' : 'local', call).catch(
    (error: unknown) => {
      if (!isKitError(error, 'REFERENCE_NOT_FOUND') || modelkit.registry === undefined) throw error;
      throw new KitError(error.code, error.message, { cause: error, hint: '`--remote` looks in its registry; nothing is downloaded' });
    },
  );
  const descriptor = await source.target.resolve(source.reference, call);
  if (!isManifestType(descriptor.mediaType)) throw new KitError('UNSUPPORTED', `${name} is an index itself: it can be in no other`);
  const artifact = await loadArtifact(source.target, descriptor.digest, name, call);
  const detected = args.detect === true ? await detectLabels(source.target, artifact, call) : [];
  const { manifest } = artifact;
  const added = {
    descriptor,
    artifactType: manifest.artifactType,
    tag: modelkit.digest === undefined ? modelkit.tags[0] : undefined,
    size: manifest.layers.reduce((sum, { size }) => sum + size, 0),
  };
  const wanted = { ...labels, set: new Map([...detected, ...labels.set]) };
  return await editIndex(kit, index, (bytes) => withVariant(bytes, added, wanted, annotations), call);
}

/** Takes a ModelKit out of an index of local storage; the ModelKit stays. @throws KitError REFERENCE_NOT_FOUND */
export async function removeFromIndex(kit: Kit, from: Reference, modelkit: Reference, call: CallOptions = {}): Promise<EditedIndex> {
  const index = requireTag(from);
  const name = formatReference(modelkit);
  const digest = modelkit.digest ?? (await resolveTag(kit, index, modelkit, call));
  const change = (bytes: Uint8Array): Buffer => {
    const without = withoutVariant(bytes, digest);
    if (without !== undefined) return without;
    throw new KitError(
      'REFERENCE_NOT_FOUND',
      `the index ${formatReference(index)} has no ${name === digest ? digest : `${name} (${digest})`}`,
      {
        hint: `\`kit index info ${formatReference(index)}\` shows what it has`,
      },
    );
  };
  return await editIndex(kit, index, change, call);
}

async function resolveTag(kit: Kit, index: Reference, modelkit: Reference, call: CallOptions): Promise<Digest> {
  const name = formatReference(modelkit);
  if (modelkit.tags.length !== 1)
    throw new KitError('USAGE', `${name} does not name one ModelKit`, { hint: `write \`${name.replace(/:.*/s, '')}:TAG\`` });
  requireSameRepository(index, modelkit);
  const found = await tagged(await kit.store(), modelkit, call);
  if (found !== undefined) return found.digest;
  throw new KitError('REFERENCE_NOT_FOUND', `${name} is not in local storage`, {
    hint: `name it by its digest, which \`kit index info ${formatReference(index)}\` shows`,
  });
}

export interface DeletedIndex {
  readonly reference: string;
  readonly digest: Digest;
  /** `untagged`: the index stays, under its other tags. */
  readonly outcome: 'removed' | 'untagged';
  readonly tags: readonly string[];
}

/** Deletes an index of local storage, or its tag where it has others (all of them with `force`). What it lists stays. */
export async function deleteIndex(
  kit: Kit,
  reference: Reference,
  { force = false }: { readonly force?: boolean } = {},
  call: CallOptions = {},
): Promise<DeletedIndex> {
  const name = formatReference(reference);
  if (reference.tags.length > 1) throw new KitError('USAGE', `${name}: one index is deleted at a time`);
  if (reference.tags.length === 0 && reference.digest === undefined)
    throw new KitError('USAGE', `${name} has neither tag nor digest`, { hint: `write \`${name}:TAG\`` });
  const { descriptor } = await loadIndex(kit, { type: 'reference', reference }, 'local', call);
  const store = await kit.store();
  const repository = store.repository(repositoryName(reference)).name;
  const tags = (await store.list()).find((one) => one.repository === repository && one.descriptor.digest === descriptor.digest)?.tags ?? [];
  const [tag] = reference.digest === undefined ? reference.tags : [];
  if (tag !== undefined && tags.length > 1 && !force) {
    await store.untag(repository, tag, call);
    return { reference: name, digest: descriptor.digest, outcome: 'untagged', tags: [tag] };
  }
  await unlist(store, repository, descriptor, call);
  return { reference: name, digest: descriptor.digest, outcome: 'removed', tags };
}

/** Deletes every index of local storage that has no tag, with `force` every one. */
export async function deleteIndexes(
  kit: Kit,
  { force = false }: { readonly force?: boolean } = {},
  call: CallOptions = {},
): Promise<DeletedIndex[]> {
  const store = await kit.store();
  const deleted: DeletedIndex[] = [];
  for (const { repository, digest, tags } of await listIndexes(kit, call)) {
    if (tags.length > 0 && !force) continue;
    const descriptor = await store.repository(repository).resolve(digest, call);
    await unlist(store, repository, descriptor, call);
    deleted.push({ reference: `${repository}@${digest}`, digest, outcome: 'removed', tags });
  }
  return deleted;
}

async function unlist(store: Store, repository: string, index: Descriptor, call: CallOptions): Promise<void> {
  const members = await membersOf(store, index, call);
  await store.updateRepository(repository, (content) => members.reduce(addManifest, content), call);
  await store.remove(repository, index.digest, call);
}

/** @throws KitError USAGE */
export function requireTag(reference: Reference): Reference {
  const name = formatReference(reference);
  if (reference.digest !== undefined) throw new KitError('USAGE', `${name}: an index that changes is named by a tag, not by a digest`);
  if (reference.tags.length > 1) throw new KitError('USAGE', `${name}: name one tag`);
  return reference.tags.length === 1 ? reference : { ...reference, tags: ['latest'] };
}

function requireSameRepository(index: Reference, modelkit: Reference): void {
  if (repositoryName(index) === repositoryName(modelkit)) return;
  const wanted = `${repositoryName(index)}:${modelkit.tags[0] ?? 'TAG'}`;
  throw new KitError(
    'USAGE',
    `${formatReference(modelkit)} is not in the same repository as ${formatReference(index)}: an index refers to its own repository only`,
    { hint: `\`kit tag ${formatReference(modelkit)} ${wanted}\` puts it there` },
  );
}

/** What the tag or digest names in local storage. */
async function tagged(store: Store, reference: Reference, call: CallOptions): Promise<Descriptor | undefined> {
  try {
    return await store.repository(repositoryName(reference)).resolve(referenceTarget(reference), call);
  } catch (error) {
    if (isKitError(error, 'REFERENCE_NOT_FOUND')) return undefined;
    throw error;
  }
}

type IndexContent = Pick<LoadedIndex, 'descriptor' | 'bytes'>;

function described(bytes: Buffer): IndexContent {
  return { descriptor: describe(MEDIA_TYPE.imageIndex, bytes), bytes };
}

async function editIndex(kit: Kit, index: Reference, change: (bytes: Uint8Array) => Buffer, call: CallOptions): Promise<EditedIndex> {
  const name = formatReference(index);
  const store = await kit.store();
  const make = async (before: Descriptor | undefined): Promise<IndexContent> => {
    if (before === undefined) {
      throw new KitError('REFERENCE_NOT_FOUND', `the index ${name} is not in local storage`, {
        hint: `\`kit index create ${name}\` makes it`,
      });
    }
    requireIndex(before, name);
    const bytes = await fetchMetadata(store.blobs, before, call);
    if (parseModelIndex(bytes, name).isOfModelKits) return described(change(bytes));
    throw new KitError('UNSUPPORTED', `${name} is an index, but not one of ModelKits: it cannot be changed`, {
      hint: '`kit index create` makes one',
    });
  };
  return await replaceIndex(kit, index, make, call);
}

/**
 * Puts an index under its tag in local storage, alone. `make` gets what has the tag now, and nobody changes that until it is done. An
 * index that had the tag goes, unless it has others; what it stood for stays.
 */
export async function replaceIndex(
  kit: Kit,
  index: Reference,
  make: (before: Descriptor | undefined) => IndexContent | Promise<IndexContent>,
  call: CallOptions,
): Promise<EditedIndex> {
  const store = await kit.store();
  const name = store.repository(repositoryName(index)).name;
  const tag = referenceTarget(index);
  let digest!: Digest;
  await using _lease = await store.lease(call);
  const change = async (all: StoreIndex): Promise<StoreIndex> => {
    const content = repositoryOf(all, name);
    const before = content.tags.get(tag);
    const { descriptor, bytes } = await make(before);
    if (descriptor.size > MAX_METADATA_BYTES)
      throw new KitError(
        'LIMIT_EXCEEDED',
        `${formatReference(index)}: the index would have ${descriptor.size} bytes, and registries take 4 MiB`,
      );
    await store.blobs.push(descriptor, bytesSource(bytes), call);
    ({ digest } = descriptor);
    const tagged = addTag(content, descriptor, tag);
    const isReplaced = before !== undefined && isIndexType(before.mediaType) && before.digest !== digest;
    if (!isReplaced || tagsOn(tagged, before.digest).length > 0) return withRepository(all, name, tagged);
    const members = await membersOf(store, before, call);
    return withRepository(all, name, members.reduce(addManifest, removeManifests(tagged, new Set([before.digest]))));
  };
  await store.update(change, call);
  return { reference: formatReference(index), digest };
}

/** The manifests of an index that are here. */
async function membersOf(store: Store, index: Descriptor, call: CallOptions): Promise<Descriptor[]> {
  const children = childrenOf(index, await fetchMetadata(store.blobs, index, call));
  return children
    .filter((child) => isManifestLike(child.mediaType) && store.blobs.localPath(child) !== undefined)
    .map(({ mediaType, digest, size }) => ({ mediaType, digest, size }));
}

/** What the headers of the weights say, as labels. */
async function detectLabels(
  target: ReadTarget,
  { layers }: LoadedArtifact,
  call: CallOptions,
): Promise<(readonly [key: string, value: string])[]> {
  const weights = layers.filter(({ role, compression }) => (role === 'model' || role === 'modelpart') && compression === 'none');
  const facts = await factsOfLayers(target, weights, call);
  const { format, architecture, parameterCount, quantization, precision } = facts ?? {};
  const found = {
    format,
    architecture,
    parameters: parameterCount === undefined ? undefined : formatParameters(parameterCount, 1),
    quantization: quantization?.replace(/^MOSTLY_/, '') ?? precision,
  };
  return Object.entries(found).flatMap(([key, value]) => (value === undefined ? [] : [[key, value] as const]));
}
