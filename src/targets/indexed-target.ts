import { type BlobSource, type Bytes, bytesSource } from '../blob-source.ts';
import { isKitError, KitError } from '../errors.ts';
import type { CallOptions } from '../events.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { type Digest, isDigest } from '../oci/digest.ts';
import { childrenOf, sniffManifestType } from '../oci/manifest.ts';
import { ANNOTATION, isIndexType, isManifestLike, MAX_METADATA_BYTES, MEDIA_TYPE } from '../oci/media-types.ts';
import { isReferrersTag, referrersTag } from '../oci/referrers-tag.ts';
import * as layoutIndex from './layout-index.ts';
import { coveredBy, hasSubject, localReferrers } from './local-referrers.ts';
import { fetchMetadata } from './manifest-bytes.ts';
import type { Capabilities, FetchOptions, Target } from './types.ts';

/** Blobs by digest: the part of an image layout below `blobs/`. */
export interface BlobStore {
  has(blob: Descriptor, options?: CallOptions): Promise<boolean>;
  fetch(blob: Descriptor, options?: FetchOptions): Promise<Bytes>;
  push(blob: Descriptor, source: BlobSource, options?: CallOptions): Promise<void>;
  pushUnhashed(mediaType: string, source: BlobSource, options?: CallOptions): Promise<Descriptor>;
  remove(digest: Digest): Promise<void>;
  /** Bytes; undefined when there is no such blob. */
  sizeOf(digest: Digest): Promise<number | undefined>;
  /** The file of the blob, in stores where each has one. */
  localPath?(blob: Descriptor): string | undefined;
  /** See Capabilities. */
  localFile?(blob: Descriptor, options?: CallOptions): Promise<string | undefined>;
  link?(blob: Descriptor, to: string, options?: CallOptions): Promise<(() => Promise<void>) | undefined>;
}

type Entries = readonly Descriptor[];

/** The manifests that an image layout's index.json lists. */
export interface EntryList {
  read(): Promise<Entries>;
  update(change: (entries: Entries) => Entries, options: CallOptions): Promise<void>;
}

/** An image layout, in whatever it is kept. References are `org.opencontainers.image.ref.name` values or digests. */
export class IndexedTarget implements Target {
  readonly name: string;
  readonly can: Capabilities;
  readonly #blobs: BlobStore;
  readonly #list: EntryList;

  constructor(name: string, blobs: BlobStore, list: EntryList) {
    this.name = name;
    this.#blobs = blobs;
    this.#list = list;
    this.can = {
      pushUnhashed: async (mediaType, source, options) => await this.#pushUnhashed(mediaType, source, options),
      tags: () => this.#tags(),
      referrers: (subject, options) => this.#referrers(subject, options),
      untag: async (tag, options) => {
        await this.#untag(tag, options);
      },
      remove: async (manifest, options) => {
        await this.#remove(manifest, options);
      },
      ...(blobs.localPath === undefined ? {} : { localPath: (blob) => blobs.localPath?.(blob) }),
      ...(blobs.localFile === undefined ? {} : { localFile: async (blob, options) => await blobs.localFile?.(blob, options) }),
      ...(blobs.link === undefined ? {} : { link: async (blob, to, options) => await blobs.link?.(blob, to, options) }),
    };
  }

  /** What index.json lists, as it stands there. */
  async entries(): Promise<Entries> {
    return await this.#list.read();
  }

  async has(blob: Descriptor, options: CallOptions = {}): Promise<boolean> {
    // a manifest counts when it is listed, so that pushing it lists it
    if (isManifestLike(blob.mediaType) && layoutIndex.findEntry(await this.entries(), blob.digest) === undefined) return false;
    return await this.#blobs.has(blob, options);
  }

  /** Manifests are verified, for index.json is no safer than a registry; other blobs are not. */
  async fetch(blob: Descriptor, options: FetchOptions = {}): Promise<Bytes> {
    if (!isManifestLike(blob.mediaType)) return await this.#blobs.fetch(blob, options);
    return bytesSource(await fetchMetadata(this.#blobs, blob, { signal: options.signal })).open(options.range);
  }

  async resolve(reference: string): Promise<Descriptor> {
    const entries = await this.entries();
    const found = layoutIndex.findEntry(entries, reference) ?? (isDigest(reference) ? await this.#unlisted(reference) : undefined);
    if (found !== undefined) return found;
    throw new KitError('REFERENCE_NOT_FOUND', `${this.name} has no \`${reference}\``, { hint: tagHint(entries) });
  }

  /** The one artifact of a layout, where no reference says which. @throws KitError REFERENCE_NOT_FOUND when there is none or a choice */
  async resolveOnly(): Promise<Descriptor> {
    const entries = await this.entries();
    // signatures and SBOMs stand beside the artifact that they are about
    const named = entries.filter((entry) => !isReferrersTag(layoutIndex.refNameOf(entry)));
    const subjects = await Array.fromAsync(named, async (entry) => ((await hasSubject(this.#blobs, entry)) ? [] : [entry]));
    const own = subjects.flat();
    const digests = new Set(own.map((entry) => entry.digest));
    const [only] = own;
    if (only !== undefined && digests.size === 1) return layoutIndex.withoutAnnotations(only, ANNOTATION.refName);
    const what = digests.size === 0 ? 'holds no artifact' : `holds ${digests.size} artifacts: name one`;
    throw new KitError('REFERENCE_NOT_FOUND', `${this.name} ${what}`, { hint: tagHint(entries) });
  }

  async push(blob: Descriptor, source: BlobSource, options: CallOptions = {}): Promise<void> {
    await this.#blobs.push(blob, source, options);
    await this.#enlist(blob, options);
  }

  async tag(manifest: Descriptor, reference: string, options: CallOptions = {}): Promise<void> {
    if ((await this.#blobs.sizeOf(manifest.digest)) === undefined) {
      throw new KitError('REFERENCE_NOT_FOUND', `${this.name} cannot tag \`${reference}\`: it has no ${manifest.digest}`);
    }
    await this.#list.update((entries) => layoutIndex.withTag(entries, manifest, reference), options);
  }

  /** Lists a manifest whose content is there already. Unlike `push` it leaves entries alone that an index stands for. */
  async enlist(manifest: Descriptor, options: CallOptions = {}): Promise<void> {
    await this.#list.update((entries) => layoutIndex.withManifest(entries, manifest), options);
  }

  async #enlist(blob: Descriptor, options: CallOptions): Promise<void> {
    if (!isManifestLike(blob.mediaType)) return;
    const covered = await coveredBy(this.#blobs, blob, options);
    await this.#list.update((entries) => layoutIndex.withManifest(layoutIndex.withoutChildren(entries, covered), blob), options);
  }

  async #pushUnhashed(mediaType: string, source: BlobSource, options: CallOptions = {}): Promise<Descriptor> {
    const blob = await this.#blobs.pushUnhashed(mediaType, source, options);
    await this.#enlist(blob, options);
    return blob;
  }

  async *#tags(): AsyncGenerator<string> {
    yield* layoutIndex.tagsOf(await this.entries());
  }

  async *#referrers(subject: Descriptor, options?: CallOptions): AsyncGenerator<Descriptor> {
    const manifests = await this.entries();
    const fallback = layoutIndex.findEntry(manifests, referrersTag(subject.digest));
    yield* localReferrers(this, { manifests, fallbacks: fallback === undefined ? [] : [fallback] }, subject.digest, options);
  }

  async #untag(tag: string, options: CallOptions = {}): Promise<void> {
    await this.#list.update((entries) => {
      if (isDigest(tag) || layoutIndex.findEntry(entries, tag) === undefined) {
        throw new KitError('REFERENCE_NOT_FOUND', `${this.name} has no tag \`${tag}\``, { hint: tagHint(entries) });
      }
      return layoutIndex.withoutTag(entries, tag);
    }, options);
  }

  async #remove({ digest }: Descriptor, options: CallOptions = {}): Promise<void> {
    await this.#list.update((entries) => {
      if (layoutIndex.findEntry(entries, digest) === undefined) {
        throw new KitError('REFERENCE_NOT_FOUND', `${this.name} has no ${digest}`, { hint: tagHint(entries) });
      }
      return layoutIndex.withoutManifest(entries, digest);
    }, options);
    // the manifest would else still resolve by its digest; below an index it must stay
    if (!(await this.#isBelowIndex(digest, options))) await this.#blobs.remove(digest);
  }

  async #isBelowIndex(digest: Digest, options: CallOptions): Promise<boolean> {
    for (const entry of (await this.entries()).filter(({ mediaType }) => isIndexType(mediaType))) {
      const children = childrenOf(entry, await fetchMetadata(this.#blobs, entry, options));
      if (children.some((child) => child.digest === digest)) return true;
    }
    return false;
  }

  /** A manifest that only its blob knows: the child of an index, or content of a tool that lists tags alone. */
  async #unlisted(digest: Digest): Promise<Descriptor | undefined> {
    const size = await this.#blobs.sizeOf(digest);
    if (size === undefined || size > MAX_METADATA_BYTES) return undefined;
    try {
      const bytes = await fetchMetadata(this.#blobs, { mediaType: MEDIA_TYPE.imageManifest, digest, size });
      const mediaType = sniffManifestType(bytes, digest);
      if (!isManifestLike(mediaType)) return undefined;
      // any JSON object would pass for a manifest else
      childrenOf({ mediaType, digest, size }, bytes);
      return { mediaType, digest, size };
    } catch (error) {
      if (isKitError(error, 'MANIFEST_INVALID')) return undefined;
      throw error;
    }
  }
}

function tagHint(entries: Entries): string {
  const tags = layoutIndex.tagsOf(entries);
  return tags.length === 0 ? 'it has no tags' : `its tags are ${tags.map((tag) => `\`${tag}\``).join(', ')}`;
}
