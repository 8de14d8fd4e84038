import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import type { ReferrersOptions } from '../targets/types.ts';
import type { ServedContent, ServedRepository } from './content.ts';
import { isRepositoryName } from './route.ts';

const HOST = /^(?:\[[0-9a-fA-F:.]+\]|[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?)(?::[0-9]{1,5})?$/;

/**
 * The names under which this server is called, and under which models may have been packed for it: `kit pack -t localhost:5000/model`
 * keeps a model as `localhost:5000/model`.
 */
export function namesOfServer(hostHeader: string | undefined, port: number): string[] {
  const asked = hostHeader !== undefined && HOST.test(hostHeader) ? [hostHeader.toLowerCase()] : [];
  return [...new Set([...asked, `localhost:${port}`, `127.0.0.1:${port}`])];
}

/** What the path of a request names: the repository of that name, and those of the same name under the server's own names. */
export class NamedRepository {
  readonly #first: ServedRepository;
  readonly #all: readonly ServedRepository[];

  constructor(content: ServedContent, name: string, hosts: readonly string[]) {
    this.#first = content.repository(name);
    this.#all = [this.#first, ...hosts.map((host) => content.repository(`${host}/${name}`))];
  }

  async find(reference: string): Promise<Descriptor | undefined> {
    for (const repository of this.#all) {
      const found = await repository.find(reference);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** Undefined when there is no such repository. */
  async tags(): Promise<string[] | undefined> {
    const lists = await Promise.all(this.#all.map((repository) => repository.tags()));
    const known = lists.filter((tags) => tags !== undefined);
    return known.length === 0 ? undefined : [...new Set(known.flat())];
  }

  async *referrers(subject: Digest, options: ReferrersOptions): AsyncGenerator<Descriptor, void, undefined> {
    const seen = new Set<Digest>();
    for (const repository of this.#all) {
      for await (const referrer of repository.referrers(subject, options)) {
        if (seen.has(referrer.digest)) continue;
        seen.add(referrer.digest);
        yield referrer;
      }
    }
  }

  async put(manifest: Descriptor, bytes: Uint8Array, tags: readonly string[]): Promise<void> {
    await this.#first.put(manifest, bytes, tags);
  }

  /** Takes the tag away wherever it stands: it would else come back from under the other name. */
  async untag(tag: string): Promise<boolean> {
    return await this.#inEach((repository) => repository.untag(tag));
  }

  async remove(digest: Digest): Promise<boolean> {
    return await this.#inEach((repository) => repository.remove(digest));
  }

  async #inEach(change: (repository: ServedRepository) => Promise<boolean>): Promise<boolean> {
    let isDone = false;
    for (const repository of this.#all) isDone = (await change(repository)) || isDone;
    return isDone;
  }
}

/** The names by which `_catalog` shows what is kept: those that a path can carry. */
export function servedNames(kept: readonly string[], hosts: readonly string[]): string[] {
  const names = kept.map((name) => {
    const host = hosts.find((candidate) => name.startsWith(`${candidate}/`));
    return host === undefined ? name : name.slice(host.length + 1);
  });
  return [...new Set(names.filter(isRepositoryName))].toSorted();
}
