import type { Bytes } from '../../blob-source.ts';
import { isKitError, KitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import type { Digest } from '../../oci/digest.ts';
import { formatReference, parseReference, type Reference } from '../../oci/reference.ts';
import { type ArchivedBlob, archiveStream, writeArchiveFile } from '../../targets/archive-stream.ts';
import { planCopy } from '../../targets/copy.ts';
import type { CopyPlan } from '../../targets/copy-plan.ts';
import { EMPTY_INDEX, withAnnotations } from '../../targets/layout-index.ts';
import { nameAnnotations } from './archive-names.ts';
import { findBase } from '../artifact/find-base.ts';
import type { Kit } from '../kit.ts';
import { openSource, type Source } from '../artifact/open-location.ts';
import { admission } from '../policy/configured.ts';

/** As many ModelKits below one another as unpack follows. */
const MAX_CHAIN = 10;

export interface SaveArguments {
  readonly references: readonly Reference[];
  /** A file, which is replaced when all is written; or whoever takes the bytes of the archive. */
  readonly output: string | ((archive: Bytes) => Promise<void>);
  /** Takes along signatures, attestations, SBOMs and what else refers to the artifacts. */
  readonly referrers?: boolean;
  /** False: without the ModelKits that the saved ones are based on (default true). */
  readonly bases?: boolean;
}

export interface Saved {
  readonly reference: string;
  readonly digest: Digest;
  /** The ModelKit that needs this one in order to be unpacked; undefined for those that were asked for. */
  readonly neededBy: string | undefined;
}

interface Item {
  readonly reference: Reference;
  readonly neededBy: string | undefined;
  readonly depth: number;
}

/**
 * Saves artifacts, from local storage or else from their registry, as one OCI archive: shared blobs once, the same input gives the same
 * bytes, and nothing is kept elsewhere. @throws KitError REFERENCE_NOT_FOUND | DIGEST_MISMATCH | DISK_FULL ...
 */
export async function save(kit: Kit, args: SaveArguments, call: CallOptions = {}): Promise<Saved[]> {
  const archive = new ArchiveContent();
  const admit = await admission(kit, undefined);
  const saved: Saved[] = [];
  const queue: Item[] = args.references
    .flatMap((reference) => eachTag(reference))
    .map((reference) => ({ reference, neededBy: undefined, depth: 0 }));
  const names = new Set<string>();
  // bases of bases are appended while it runs
  for (const item of queue) {
    const name = formatReference(item.reference);
    if (names.has(name)) continue;
    names.add(name);
    const from = await openItem(kit, item, call);
    if (from === undefined) continue;
    const root = await from.target.resolve(from.reference, call);
    await admit?.(from, root, call);
    archive.add(await planCopy(from.target, [root], { ...call, referrers: args.referrers }), root, item.reference, call);
    saved.push({ reference: name, digest: root.digest, neededBy: item.neededBy });
    const base = args.bases === false ? undefined : await findBase(from, root.digest, call);
    if (base === undefined) continue;
    if (item.depth >= MAX_CHAIN) throw new KitError('REFERENCE_CYCLE', `reached maximum number of model references below ${name}`);
    queue.push({ reference: oneTag(parseReference(base)), neededBy: name, depth: item.depth + 1 });
  }
  const stream = archive.stream(call);
  if (typeof args.output === 'string') await writeArchiveFile(args.output, stream);
  else await args.output(stream);
  return saved;
}

/** Undefined, with a warning, for a base that is out of reach: what needs it is saved all the same. */
async function openItem(kit: Kit, { reference, neededBy }: Item, call: CallOptions): Promise<Source | undefined> {
  try {
    const from = await openSource(kit, { type: 'reference', reference }, 'local-first', call);
    await from.target.resolve(from.reference, call);
    return from;
  } catch (error) {
    call.signal?.throwIfAborted();
    if (neededBy === undefined || !isKitError(error)) throw error;
    const message = `${formatReference(reference)} is not saved: ${error.message}; unpacking ${neededBy} needs it`;
    call.onEvent?.({ type: 'warning', code: 'BASE_NOT_SAVED', message });
    return undefined;
  }
}

function eachTag(reference: Reference): Reference[] {
  return reference.tags.length > 1 && reference.digest === undefined
    ? reference.tags.map((tag) => ({ ...reference, tags: [tag] }))
    : [oneTag(reference)];
}

function oneTag(reference: Reference): Reference {
  return reference.tags.length === 0 && reference.digest === undefined ? { ...reference, tags: ['latest'] } : reference;
}

/** What goes into one archive, from however many sources. */
class ArchiveContent {
  readonly #blobs = new Map<Digest, ArchivedBlob>();
  readonly #named = new Map<string, Descriptor>();
  readonly #unnamed = new Map<Digest, Descriptor>();

  add(plan: CopyPlan, root: Descriptor, reference: Reference, { signal }: CallOptions): void {
    for (const blob of plan.blobs.values()) {
      if (!this.#blobs.has(blob.digest)) this.#blobs.set(blob.digest, { blob, open: async () => await plan.src.fetch(blob, { signal }) });
    }
    for (const { descriptor, bytes } of plan.manifests.values()) {
      this.#blobs.set(descriptor.digest, { blob: descriptor, open: () => once(bytes) });
    }
    this.#list(root, reference);
    for (const { descriptor, tag } of plan.tags) this.#list(descriptor, { ...reference, tags: [tag], digest: undefined });
    for (const { descriptor } of plan.referrers.values()) this.#unnamed.set(descriptor.digest, bare(descriptor));
  }

  #list(manifest: Descriptor, reference: Reference): void {
    // a bare digest names nothing
    if (reference.repository === '') this.#unnamed.set(manifest.digest, bare(manifest));
    else this.#named.set(formatReference(reference), withAnnotations(bare(manifest), nameAnnotations(reference)));
  }

  stream(call: CallOptions): Bytes {
    const blobs = [...this.#blobs.values()];
    call.onEvent?.({ type: 'plan', blobs: blobs.length, bytes: blobs.reduce((sum, { blob }) => sum + blob.size, 0) });
    const shown = blobs.map(({ blob, open }) => ({ blob, open: async () => told(await open(), blob, call) }));
    const named = [...this.#named].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, entry]) => entry);
    const listed = new Set(named.map(({ digest }) => digest));
    const unnamed = [...this.#unnamed.values()]
      .filter(({ digest }) => !listed.has(digest))
      .toSorted((a, b) => (a.digest < b.digest ? -1 : 1));
    return archiveStream({ ...EMPTY_INDEX, manifests: [...named, ...unnamed] }, shown, call);
  }
}

/** Without what depends on where it came from: the same artifact gives the same archive. */
function bare({ mediaType, digest, size }: Descriptor): Descriptor {
  return { mediaType, digest, size };
}

async function* once(bytes: Uint8Array): Bytes & AsyncGenerator<Uint8Array> {
  yield bytes;
}

/** The bytes with their events. */
async function* told(
  bytes: Bytes,
  { digest: id, size, annotations }: Descriptor,
  { onEvent }: CallOptions,
): Bytes & AsyncGenerator<Uint8Array> {
  const label = annotations?.['org.opencontainers.image.title'] ?? id.slice(id.indexOf(':') + 1).slice(0, 12);
  onEvent?.({ type: 'blob', id, action: 'pack', label, total: size });
  for await (const chunk of bytes) {
    onEvent?.({ type: 'bytes', id, delta: chunk.byteLength });
    yield chunk;
  }
  onEvent?.({ type: 'done', id, outcome: 'copied' });
}
