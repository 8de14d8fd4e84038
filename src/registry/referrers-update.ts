import { isKitError, KitError } from '../errors.ts';
import type { CallOptions } from '../events.ts';
import { type Descriptor, describe } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import { MEDIA_TYPE } from '../oci/media-types.ts';
import { referrersTag } from '../oci/referrers-tag.ts';
import type { RepositoryContext } from './context.ts';
import { deleteManifest, hasManifest, replaceManifest } from './manifests.ts';
import { changedEntries, type FallbackIndex, readFallbackIndex, type ReferrerChanges, serializeIndex } from './referrers-index.ts';
import { pause } from './retry.ts';
import { TransientError } from './transient.ts';

/** With a dozen writers at a time a handful of rounds are needed. */
const MAX_ROUNDS = 40;
/** How often writing may fail for a passing reason. */
const MAX_FAILURES = 3;
const MIN_SETTLE_MS = 500;
/** Others may be slower than this writer was. */
const SETTLE_FACTOR = 4;

/** What stood under the tag when it was last known; no digest looks like it. */
const ABSENT = 'absent';

/**
 * Brings the index under the fallback tag of `subject` to hold `changes`, beside whatever else is in it (distribution spec, "Referrers
 * Tag Schema"). Changes that are added while it runs are taken along, unless they come after its last look at the index.
 *
 * Registries have no compare-and-swap for tags: of two writers that have read the same index the later one overwrites the earlier.
 * If-Match goes along where the registry gives a strong ETag, but hardly any heeds it. So each round reads, adds what is missing and
 * writes at once, without retries that would write what was read long before; and it ends only when the tag has stood unchanged, with
 * the changes in it, for a settling time of at least 0.5 s and four times as long as this writer took between reading and writing.
 * Whoever writes after that has read after the changes were there, provided that it takes less than the settling time between its own
 * reading and writing. So: no change is lost among writers that do this, nor to others that merge what they read (oras, cosign), as long
 * as none of them stalls that long in between. One that does, or that replaces the index without reading it, can still take an entry out;
 * the referrer itself stays in the registry, and pushing it again lists it again.
 *
 * An index that was replaced is left to the registry's garbage collection: to delete it by digest could hit a writer that has just
 * put the same content back.
 * @throws KitError MANIFEST_INVALID when no index is under the tag, REGISTRY_ERROR when the tag never comes to rest
 */
export async function updateFallbackIndex(
  context: RepositoryContext,
  subject: Digest,
  changes: ReferrerChanges,
  call: CallOptions,
): Promise<void> {
  const name = `${context.name}:${referrersTag(subject)}`;
  const writer = new IndexWriter(context, subject, call);
  const gone = new Set<Digest>();
  let settled: string | undefined;
  let hasWritten = false;
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const start = performance.now();
    const current = await readFallbackIndex(context, subject, call);
    const wanted = new Map([...changes, ...[...gone].map((digest) => [digest, undefined] as const)]);
    const entries = changedEntries(current?.index.manifests ?? [], wanted);
    const found = current?.digest ?? ABSENT;
    if (entries === undefined && (!hasWritten || found === settled)) return;
    hasWritten = true;
    try {
      settled = entries === undefined ? found : await writer.write(current, serializeIndex(current?.index, entries, name), entries.length);
      // what was gone may be pushed again
      gone.clear();
    } catch (error) {
      // registries take no index that names what is gone; some only say that it is invalid
      const isRefused = isKitError(error, 'BLOB_NOT_FOUND', 'REGISTRY_ERROR') && !(error instanceof TransientError);
      const lost = isRefused ? await missing(context, entries ?? [], call) : [];
      if (lost.length === 0 || lost.some((digest) => changes.has(digest))) throw error;
      for (const digest of lost) gone.add(digest);
      continue;
    }
    await context.http.sleep(settlingTime(performance.now() - start), call.signal);
  }
  throw new KitError('REGISTRY_ERROR', `${name}: the list of referrers keeps changing; ${[...changes.keys()].join(', ')} may be missing`, {
    hint: 'other writers are at work on the same artifact; push again when they are done',
  });
}

async function missing(context: RepositoryContext, entries: readonly Descriptor[], call: CallOptions): Promise<Digest[]> {
  const gone: Digest[] = [];
  for (const { digest } of entries) if (!(await hasManifest(context, digest, call))) gone.push(digest);
  return gone;
}

/** Never shorter than the time in which another writer is expected to be done; the rest keeps writers out of step. */
function settlingTime(gapMs: number): number {
  return Math.max(MIN_SETTLE_MS, SETTLE_FACTOR * gapMs) * (1 + Math.random());
}

class IndexWriter {
  readonly #context: RepositoryContext;
  readonly #subject: Digest;
  readonly #call: CallOptions;
  #failures = 0;
  /** One that the registry would not match although nothing had changed: not all that look strong are. */
  #uselessTag: string | undefined;

  constructor(context: RepositoryContext, subject: Digest, call: CallOptions) {
    this.#context = context;
    this.#subject = subject;
    this.#call = call;
  }

  /** What stands under the tag now; undefined when that is not known. */
  async write(current: FallbackIndex | undefined, bytes: Buffer, count: number): Promise<string | undefined> {
    const tag = referrersTag(this.#subject);
    if (count === 0 && current !== undefined && (await this.#delete(current.digest))) return ABSENT;
    const etag = this.#usable(current?.etag);
    try {
      const isWritten = await replaceManifest(this.#context, tag, { mediaType: MEDIA_TYPE.imageIndex, bytes }, { etag, call: this.#call });
      if (isWritten) return describe(MEDIA_TYPE.imageIndex, bytes).digest;
      this.#uselessTag = etag;
    } catch (error) {
      this.#failures += 1;
      if (!(error instanceof TransientError) || this.#failures > MAX_FAILURES) throw error;
      await pause(this.#failures, error, { ...this.#call, sleep: this.#context.http.sleep, id: `${this.#context.name}:${tag}` });
    }
    return undefined;
  }

  #usable(etag: string | undefined): string | undefined {
    return etag === undefined || etag.startsWith('W/') || etag === this.#uselessTag ? undefined : etag;
  }

  /** By digest, so that what another writer has put there meanwhile stays. False where an empty index has to do. */
  async #delete(digest: Digest): Promise<boolean> {
    try {
      await deleteManifest(this.#context, digest, this.#call);
      return true;
    } catch (error) {
      if (isKitError(error, 'REFERENCE_NOT_FOUND')) return true;
      if (isKitError(error, 'UNSUPPORTED', 'DENIED', 'UNAUTHORIZED')) return false;
      throw error;
    }
  }
}
