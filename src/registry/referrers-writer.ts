import { isKitError } from '../errors.ts';
import type { CallOptions } from '../events.ts';
import { type Descriptor, describe } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import { type Index, type Manifest, parseIndex, parseManifest } from '../oci/manifest.ts';
import { isIndexType, isManifestType } from '../oci/media-types.ts';
import { describeReferrer } from '../oci/referrer.ts';
import type { RepositoryContext } from './context.ts';
import { deleteManifest, fetchManifest, type OutgoingManifest, putManifest } from './manifests.ts';
import { changedEntries, readFallbackIndex } from './referrers-index.ts';
import { updateFallbackIndex } from './referrers-update.ts';

/** An update of one subject's list that is under way. */
interface Update {
  /** More may come while it runs. */
  readonly changes: Map<Digest, Descriptor | undefined>;
  joined: number;
  done: Promise<void>;
}

/**
 * Pushes and deletes the manifests of one repository so that what refers to another can be found: where the registry does not say that
 * it keeps the list itself (OCI-Subject), the index under the fallback tag is kept. Nothing is merged on the reading side: a registry
 * with the API has to list what was pushed before it had it.
 */
export class ReferrersWriter {
  readonly #context: RepositoryContext;
  /** By subject: changes at the same time go together, or each would wait for the tag to settle. */
  readonly #updates = new Map<Digest, Update>();

  constructor(context: RepositoryContext) {
    this.#context = context;
  }

  /** @throws KitError of putManifest and updateFallbackIndex */
  async push(digest: Digest, manifest: OutgoingManifest, call: CallOptions): Promise<void> {
    const noted = await putManifest(this.#context, digest, manifest, call);
    const content = parseIfManifest(manifest);
    const subject = content?.subject?.digest;
    if (content === undefined || subject === undefined) return;
    // whoever is told not to ask the registry for its list looks under the tag
    if (noted === subject && this.#context.endpoint.rules.referrers !== 'tag') return;
    const described = { ...describe(manifest.mediaType, manifest.bytes), digest };
    await this.#update(subject, digest, describeReferrer(described, content), call);
  }

  /** @throws KitError of deleteManifest and updateFallbackIndex */
  async remove(digest: Digest, call: CallOptions): Promise<void> {
    const subject = await this.#subjectOf(digest, call);
    await deleteManifest(this.#context, digest, call);
    if (subject !== undefined && (await this.#isListed(subject, digest, call))) await this.#update(subject, digest, undefined, call);
  }

  /** Undefined also where the content says nothing that can be read: it is to go in any case. */
  async #subjectOf(digest: Digest, call: CallOptions): Promise<Digest | undefined> {
    try {
      const { descriptor, bytes } = await fetchManifest(this.#context, digest, call);
      return parseIfManifest({ mediaType: descriptor.mediaType, bytes })?.subject?.digest;
    } catch (error) {
      if (isKitError(error, 'REFERENCE_NOT_FOUND', 'DIGEST_MISMATCH', 'LIMIT_EXCEEDED', 'MANIFEST_INVALID')) return undefined;
      throw error;
    }
  }

  /** Something else under the tag lists nothing, and is not this one's to mend. */
  async #isListed(subject: Digest, digest: Digest, call: CallOptions): Promise<boolean> {
    try {
      const current = await readFallbackIndex(this.#context, subject, call);
      return changedEntries(current?.index.manifests ?? [], new Map([[digest, undefined]])) !== undefined;
    } catch (error) {
      if (isKitError(error, 'MANIFEST_INVALID')) return false;
      throw error;
    }
  }

  async #update(subject: Digest, digest: Digest, entry: Descriptor | undefined, call: CallOptions): Promise<void> {
    let update = this.#updates.get(subject);
    if (update === undefined) {
      update = { changes: new Map(), joined: 0, done: Promise.resolve() };
      this.#updates.set(subject, update);
      update.done = this.#run(subject, update, call);
    }
    update.changes.set(digest, entry);
    update.joined += 1;
    await update.done;
  }

  async #run(subject: Digest, update: Update, call: CallOptions): Promise<void> {
    try {
      let joined: number;
      do {
        // the caller adds its change first
        await Promise.resolve();
        ({ joined } = update);
        await updateFallbackIndex(this.#context, subject, update.changes, call);
        // one that came after the last look at the index is not in it yet
      } while (update.joined !== joined);
    } finally {
      this.#updates.delete(subject);
    }
  }
}

function parseIfManifest({ mediaType, bytes }: OutgoingManifest): Manifest | Index | undefined {
  try {
    if (isIndexType(mediaType)) return parseIndex(bytes, mediaType);
    return isManifestType(mediaType) ? parseManifest(bytes, mediaType) : undefined;
  } catch (error) {
    // what the registry took and we cannot read names nothing that we could list
    if (isKitError(error, 'MANIFEST_INVALID')) return undefined;
    throw error;
  }
}
