import type { Catalog, Member, TargetContent } from '../../catalog/catalog.ts';
import { KitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import { runAll } from '../../targets/run-all.ts';
import type { Kit } from '../kit.ts';
import { FactReader, isAboutContent } from './facts.ts';
import type { Place } from './places.ts';

/** What is kept at a time: as much is read again after a kill. */
const KEPT_AT_A_TIME = 64;

export interface Crawled {
  /** Manifests and indexes that had to be read. */
  readonly read: number;
  /** Places whose content cannot be read; each is told about in a warning. */
  readonly unreadable: readonly Place[];
  /** What is not kept, for more of it may come: indexes of which only some members are on this machine. */
  readonly partial: ReadonlyMap<string, readonly Member[]>;
}

/** Reads into the catalog what it does not know of the places, several at a time. What is broken is left out, so that the others are seen. */
export async function crawl(
  kit: Kit,
  places: readonly Place[],
  catalog: Catalog,
  { withTensors }: { readonly withTensors: boolean },
  call: CallOptions,
): Promise<Crawled> {
  const byTarget = new Map(places.map((place) => [place.descriptor.digest as string, place]));
  const known = await catalog.known([...byTarget.keys()], withTensors);
  const missing = [...byTarget.values()].filter(({ descriptor }) => !known.has(descriptor.digest));
  const unreadable: Place[] = [];
  const partial = new Map<string, readonly Member[]>();
  const keeper = new Keeper(catalog);
  try {
    await runAll(missing, kit.concurrency, call.signal, async (place, signal) => {
      const reader = new FactReader(kit, withTensors, { ...call, signal });
      try {
        const { isPartial, ...content } = await reader.read(place.repository, place.descriptor);
        if (isPartial && place.repository.lookup === 'local') partial.set(content.target, content.members);
        else await keeper.add(content);
      } catch (error) {
        if (!(error instanceof KitError) || !isAboutContent(error)) throw error;
        unreadable.push(place);
        call.onEvent?.({ type: 'warning', code: error.code, message: `${nameOf(place)} is left out: ${error.message}` });
      }
    });
  } finally {
    // what was read before a failure or an interrupt need not be read again
    await keeper.flush();
  }
  return { read: missing.length - unreadable.length, unreadable, partial };
}

function nameOf({ repository, descriptor, tags: [tag] }: Place): string {
  return tag === undefined ? `${repository.name}@${descriptor.digest}` : `${repository.name}:${tag}`;
}

class Keeper {
  readonly #catalog: Catalog;
  #pending: TargetContent[] = [];

  constructor(catalog: Catalog) {
    this.#catalog = catalog;
  }

  async add(content: TargetContent): Promise<void> {
    this.#pending.push(content);
    if (this.#pending.length >= KEPT_AT_A_TIME) await this.flush();
  }

  async flush(): Promise<void> {
    const contents = this.#pending;
    this.#pending = [];
    if (contents.length > 0) await this.#catalog.add(contents);
  }
}
