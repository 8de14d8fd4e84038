import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { Bytes } from '../../blob-source.ts';
import { KitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import type { Digest } from '../../oci/digest.ts';
import { parseIndex, parseManifest } from '../../oci/manifest.ts';
import { isIndexType, isManifestLike } from '../../oci/media-types.ts';
import { formatReference, type Reference, repositoryName } from '../../oci/reference.ts';
import { isReferrersTag } from '../../oci/referrers-tag.ts';
import { openArchive } from '../../targets/archive.ts';
import { takeInArchive } from '../../targets/archive-intake.ts';
import { copyPlanned, planCopy } from '../../targets/copy.ts';
import { MAX_MANIFESTS, type PlannedTag } from '../../targets/copy-plan.ts';
import type { IndexedTarget } from '../../targets/indexed-target.ts';
import { fetchMetadata } from '../../targets/manifest-bytes.ts';
import type { Store } from '../../targets/store.ts';
import { entryName, hasName } from './archive-names.ts';
import type { Kit } from '../kit.ts';
import { examineArtifact } from '../artifact/load-artifact.ts';
import { admission } from '../policy/configured.ts';

export interface LoadArguments {
  /** An archive file; or its bytes, with what messages call them. */
  readonly input: string | { readonly name: string; readonly bytes: Bytes };
  /** The repository, and where the archive holds one artifact also the tags, instead of what the archive says. */
  readonly name?: Reference;
}

export interface Loaded {
  /** Undefined for what the archive does not name: it is in local storage by its digest. */
  readonly reference: string | undefined;
  readonly digest: Digest;
}

/** What one repository gets. */
interface Share {
  readonly roots: Descriptor[];
  readonly tags: PlannedTag[];
}

/**
 * Loads an OCI archive into local storage, under the names that it has inside. A file is read where it stands; a stream is read once,
 * whatever the order of its entries. Every byte is verified, and no tag is put on before all are.
 * @throws KitError STORE_INVALID | DIGEST_MISMATCH | BLOB_NOT_FOUND | UNSAFE_PATH | UNSAFE_ENTRY | REFERENCE_INVALID | USAGE
 */
export async function load(kit: Kit, { input, name }: LoadArguments, call: CallOptions = {}): Promise<Loaded[]> {
  if (typeof input === 'string' && (await isPipe(input)))
    return await load(kit, { ...(name && { name }), input: { name: input, bytes: createReadStream(input) } }, call);
  const store = await kit.store();
  // until the last tag is on, what came in looks like garbage
  await using _lease = await store.lease(call);
  if (typeof input !== 'string') {
    const taken = await takeInArchive(input.bytes, input.name, store.blobs, call);
    // the blobs were shown as they came
    return await loadFrom(kit, store, taken, name, { ...call, onEvent: (event) => event.type === 'warning' && call.onEvent?.(event) });
  }
  await using archive = await openArchive(input, { name: input });
  return await loadFrom(kit, store, archive, name, call);
}

/** What can be read only once, such as a shell's `<(...)`. */
async function isPipe(path: string): Promise<boolean> {
  const stats = await stat(path).catch(() => undefined);
  return stats !== undefined && (stats.isFIFO() || stats.isCharacterDevice() || stats.isSocket());
}

async function loadFrom(kit: Kit, store: Store, archive: IndexedTarget, name: Reference | undefined, call: CallOptions): Promise<Loaded[]> {
  const { shares, artifacts } = await distribute(archive, name, call);
  const admit = await admission(kit, undefined);
  for (const { reference, descriptor } of admit === undefined ? [] : artifacts) {
    if (await isAttachment(archive, reference, descriptor, call)) continue;
    const shown = reference === undefined ? descriptor.digest : formatReference(reference);
    await admit?.({ target: archive, reference: descriptor.digest, name: shown, isLocal: true }, descriptor, call);
  }
  for (const [repository, { roots }] of shares) {
    const plan = await planCopy(archive, roots, call);
    await copyPlanned(plan, store.repository(repository), [], { ...call, concurrency: kit.concurrency, action: 'pull' });
  }
  for (const [repository, { tags }] of shares)
    for (const { descriptor, tag } of tags) await store.repository(repository).tag(descriptor, tag, call);
  return artifacts.map(({ reference, descriptor: { digest } }) => ({ reference: reference && formatReference(reference), digest }));
}

/** Signatures and the like, under the tags that say so: policies are not about those. A model under such a tag is a model. */
async function isAttachment(
  archive: IndexedTarget,
  reference: Reference | undefined,
  { digest }: Descriptor,
  call: CallOptions,
): Promise<boolean> {
  if (reference === undefined || reference.tags.length === 0 || !reference.tags.every(isReferrersTag)) return false;
  const { artifact } = await examineArtifact(archive, digest, archive.name, call);
  return artifact?.kitfile === undefined;
}

/** What has a place of its own in local storage. */
interface ArchivedArtifact {
  readonly reference: Reference | undefined;
  readonly descriptor: Descriptor;
}

/** Who gets what: artifacts by their names, and what refers to them with them. */
async function distribute(
  archive: IndexedTarget,
  name: Reference | undefined,
  call: CallOptions,
): Promise<{ shares: ReadonlyMap<string, Share>; artifacts: readonly ArchivedArtifact[] }> {
  const entries = await manifestsOf(archive, call);
  const subjects = await subjectsOf(archive, entries, call);
  const artifacts = entries.filter((entry) => subjects.get(entry.digest) === undefined || hasName(entry));
  if (artifacts.length === 0) throw new KitError('REFERENCE_NOT_FOUND', `${archive.name} holds no artifact`);
  const place = placer(name, artifacts, archive.name);
  const shares = new Map<string, Share>();
  const holders = new Map<Digest, Set<string>>();
  const give = (repository: string, descriptor: Descriptor): Share => {
    const share = shares.get(repository) ?? { roots: [], tags: [] };
    shares.set(repository, share);
    if (!share.roots.some(({ digest }) => digest === descriptor.digest)) share.roots.push(descriptor);
    holders.set(descriptor.digest, (holders.get(descriptor.digest) ?? new Set()).add(repository));
    return share;
  };
  const placed: ArchivedArtifact[] = [];
  for (const entry of artifacts) {
    const descriptor = bare(entry);
    const reference = place(entry);
    const { tags } = give(reference === undefined ? '' : repositoryName(reference), descriptor);
    for (const tag of reference?.tags ?? []) addTag(tags, { descriptor, tag }, reference, archive.name);
    placed.push({ reference, descriptor });
  }
  // referrers of referrers come after their subject, however they are listed
  for (let open = entries.filter((entry) => !artifacts.includes(entry)); open.length > 0;) {
    const ready = open.filter(({ digest }) => holders.has(subjects.get(digest) as Digest));
    for (const entry of ready.length > 0 ? ready : open) {
      const repositories = holders.get(subjects.get(entry.digest) as Digest) ?? [''];
      for (const repository of repositories) give(repository, bare(entry));
    }
    open = ready.length > 0 ? open.filter((entry) => !ready.includes(entry)) : [];
  }
  return { shares, artifacts: placed };
}

/** What index.json lists. What is neither manifest nor index has no place in local storage. */
async function manifestsOf(archive: IndexedTarget, call: CallOptions): Promise<readonly Descriptor[]> {
  const entries = await archive.entries();
  if (entries.length > MAX_MANIFESTS)
    throw new KitError('LIMIT_EXCEEDED', `${archive.name} lists ${entries.length} artifacts, the limit is ${MAX_MANIFESTS}`);
  return entries.filter(({ digest, mediaType }) => {
    if (isManifestLike(mediaType)) return true;
    const message = `${archive.name}: ${digest} is left out: it is a \`${mediaType}\``;
    call.onEvent?.({ type: 'warning', code: 'UNSUPPORTED', message });
    return false;
  });
}

function bare({ mediaType, digest, size }: Descriptor): Descriptor {
  return { mediaType, digest, size };
}

/** The subject of each manifest that has one. */
async function subjectsOf(archive: IndexedTarget, entries: readonly Descriptor[], call: CallOptions): Promise<ReadonlyMap<Digest, Digest>> {
  const subjects = new Map<Digest, Digest>();
  for (const entry of entries) {
    call.signal?.throwIfAborted();
    if (subjects.has(entry.digest)) continue;
    const bytes = await fetchMetadata(archive, entry, call);
    const parse = isIndexType(entry.mediaType) ? parseIndex : parseManifest;
    const subject = parse(bytes, entry.digest).subject?.digest;
    if (subject !== undefined) subjects.set(entry.digest, subject);
  }
  return subjects;
}

/** Says under which name an entry is loaded; undefined for none. @throws KitError USAGE, also from the function */
function placer(
  name: Reference | undefined,
  artifacts: readonly Descriptor[],
  archive: string,
): (entry: Descriptor) => Reference | undefined {
  const isOne = new Set(artifacts.map(({ digest }) => digest)).size === 1;
  if (name !== undefined && (name.digest !== undefined || name.repository === ''))
    throw new KitError('USAGE', `--name ${formatReference(name)}: a digest cannot be chosen for what is loaded`);
  if (name !== undefined && name.tags.length > 0) {
    if (isOne) return () => name;
    throw new KitError('USAGE', `${archive} holds several artifacts, which cannot all be ${formatReference(name)}`, {
      hint: `leave the tag out, \`--name ${repositoryName(name)}\`: each keeps its own`,
    });
  }
  return (entry) => {
    const own = entryName(entry, archive, name !== undefined);
    if (own.type === 'tag' && name === undefined) {
      throw new KitError('USAGE', `${archive} names an artifact only by its tag \`${own.tag}\``, {
        hint: `say which repository it belongs to: \`--name mymodel\` makes it mymodel:${own.tag}`,
      });
    }
    const reference = name ?? (own.type === 'full' ? own.reference : undefined);
    if (reference === undefined) return undefined;
    const tags = own.type === 'tag' ? [own.tag] : own.type === 'full' ? own.reference.tags : isOne ? ['latest'] : [];
    return { ...reference, tags, digest: tags.length === 0 ? entry.digest : undefined };
  };
}

function addTag(tags: PlannedTag[], planned: PlannedTag, reference: Reference | undefined, archive: string): void {
  const same = tags.find(({ tag }) => tag === planned.tag);
  if (same !== undefined && same.descriptor.digest !== planned.descriptor.digest) {
    const name = reference === undefined ? planned.tag : formatReference({ ...reference, tags: [planned.tag], digest: undefined });
    throw new KitError('USAGE', `${archive} holds two artifacts that would both be ${name}`, {
      hint: 'load it without `--name`, and use `kit tag` after',
    });
  }
  if (same === undefined) tags.push(planned);
}
