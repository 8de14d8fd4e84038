import { basename, resolve } from 'node:path';
import { bytesSource } from '../blob-source.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { type Digest, isDigest } from '../oci/digest.ts';
import type { Layout } from '../targets/layout.ts';
import { refNameOf } from '../targets/layout-index.ts';
import type { ReferrersOptions } from '../targets/types.ts';
import { findBelowIndex, partOfIndex } from './below-index.ts';
import type { ServedContent, ServedRepository } from './content.ts';
import { referrersOf } from './referrers-of.ts';
import { isRepositoryName, isTag } from './route.ts';
import { unlessMissing } from './unless-missing.ts';

/**
 * An image layout, served. Tags `team/model:v1` belong to the repository `team/model`; plain ones such as `v1`, of which most layouts
 * have nothing else, to a repository that is named after the folder.
 */
export function layoutContent(layout: Layout): ServedContent {
  const own = ownRepository(layout.directory);
  return {
    name: layout.name,
    blobs: layout.blobs,
    repositories: async () => {
      const entries = await layout.entries();
      return [...new Set(entries.map((entry) => splitName(refNameOf(entry), own)?.repository ?? own))];
    },
    repository: (name) => new ServedLayoutRepository(layout, name, own),
    manifests: async () => await layout.entries(),
    // nobody collects what a layout holds
    lease: async () => await Promise.resolve({ [Symbol.asyncDispose]: async () => await Promise.resolve() }),
  };
}

class ServedLayoutRepository implements ServedRepository {
  readonly #layout: Layout;
  readonly #name: string;
  readonly #own: string;

  constructor(layout: Layout, name: string, own: string) {
    this.#layout = layout;
    this.#name = name;
    this.#own = own;
  }

  async find(reference: string): Promise<Descriptor | undefined> {
    for (const name of isDigest(reference) ? [reference] : this.#refNames(reference)) {
      let found: Descriptor | undefined;
      await unlessMissing(this.#layout.resolve(name).then((manifest) => (found = manifest)));
      if (found !== undefined) return found;
    }
    return undefined;
  }

  async tags(): Promise<readonly string[] | undefined> {
    const entries = await this.#layout.entries();
    const names = entries.map((entry) => splitName(refNameOf(entry), this.#own)).filter((name) => name?.repository === this.#name);
    const tags = new Set(names.map((name) => name?.tag).filter((tag) => tag !== undefined));
    // a manifest without a tag is of any repository
    const isKnown = tags.size > 0 || this.#name === this.#own || entries.some((entry) => refNameOf(entry) === undefined);
    return isKnown ? [...tags] : undefined;
  }

  referrers(subject: Digest, options: ReferrersOptions): AsyncIterable<Descriptor> {
    return referrersOf(this.#layout.can, subject, options);
  }

  async put(manifest: Descriptor, bytes: Uint8Array, tags: readonly string[]): Promise<void> {
    await this.#layout.blobs.push(manifest, bytesSource(bytes));
    // as in the store: what a client sends is listed, and keeps what refers to it
    await this.#layout.enlist(manifest);
    for (const tag of tags) {
      const [refName = tag, ...older] = this.#refNames(tag);
      await this.#layout.tag(manifest, refName);
      for (const name of older) await unlessMissing(this.#layout.can.untag?.(name));
    }
  }

  async untag(tag: string): Promise<boolean> {
    let isDone = false;
    for (const name of this.#refNames(tag)) isDone = (await unlessMissing(this.#layout.can.untag?.(name))) || isDone;
    return isDone;
  }

  async remove(digest: Digest): Promise<boolean> {
    const found = await this.find(digest);
    if (found === undefined) return false;
    const entries = await this.#layout.entries();
    if ((await findBelowIndex(this.#layout.blobs, entries, digest)) !== undefined) throw partOfIndex(digest);
    // a manifest that no entry names was once below an index
    if (entries.some((entry) => entry.digest === digest)) await this.#layout.can.remove?.(found);
    else await this.#layout.blobs.remove(digest);
    return true;
  }

  /** How index.json may name the tag; the first is how it is written. */
  #refNames(tag: string): string[] {
    const full = `${this.#name}:${tag}`;
    return this.#name === this.#own ? [tag, full] : [full];
  }
}

function splitName(refName: string | undefined, own: string): { readonly repository: string; readonly tag: string } | undefined {
  if (refName === undefined) return undefined;
  const colon = refName.lastIndexOf(':');
  const tag = refName.slice(colon + 1);
  if (!isTag(tag)) return undefined;
  return { repository: colon === -1 ? own : refName.slice(0, colon), tag };
}

/** The folder's name, as far as it can name a repository. */
function ownRepository(directory: string): string {
  const name = basename(resolve(directory)).toLowerCase();
  return isRepositoryName(name) ? name : 'layout';
}
