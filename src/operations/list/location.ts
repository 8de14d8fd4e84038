import { KitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import type { Location } from '../../oci/reference.ts';
import { runAll } from '../../targets/run-all.ts';
import type { ReadTarget } from '../../targets/types.ts';
import type { Kit } from '../kit.ts';
import type { Filter } from '../artifact/filter.ts';
import { describeArtifact, type ListEntry } from './entry.ts';
import { type LoadedArtifact, loadArtifact } from '../artifact/load-artifact.ts';
import { openRemote, openSource } from '../artifact/open-location.ts';

/** The tags of a repository in a registry, one entry each, or the tag that the location names; of a layout, all. */
export async function listLocation(
  kit: Kit,
  location: Location,
  call: CallOptions = {},
  filters: readonly Filter[] = [],
): Promise<ListEntry[]> {
  if (location.type !== 'reference') {
    const source = await openSource(kit, { ...location, reference: location.reference ?? 'latest' }, 'local', call);
    return await listTags(
      source.target,
      source.target.name,
      location.reference === undefined ? await tagsOf(source.target, call) : [location.reference],
      { kit, call, filters },
    );
  }
  const { reference } = location;
  const target = await openRemote(kit, reference);
  const wanted = reference.digest === undefined ? reference.tags : [reference.digest];
  const tags = wanted.length > 0 ? [...wanted] : await tagsOf(target, call);
  return await listTags(target, reference.repository, tags, { kit, call, filters }, wanted.length > 0);
}

async function tagsOf(target: ReadTarget, call: CallOptions): Promise<string[]> {
  if (target.can.tags === undefined) throw new KitError('UNSUPPORTED', `${target.name} cannot list tags`);
  return (await Array.fromAsync(target.can.tags(call))).toSorted();
}

async function listTags(
  target: ReadTarget,
  repository: string,
  tags: readonly string[],
  { kit, call, filters }: { readonly kit: Kit; readonly call: CallOptions; readonly filters: readonly Filter[] },
  mustExist = false,
): Promise<ListEntry[]> {
  const entries: (ListEntry | undefined)[] = [];
  await runAll([...tags.entries()], kit.concurrency, call.signal, async ([index, tag], signal) => {
    const options = { ...call, signal };
    const load = async (): Promise<LoadedArtifact> => await loadArtifact(target, tag, `${target.name}:${tag}`, options);
    entries[index] = await describeArtifact(load, { repository, tags: [tag], reference: tag, filters }, options, mustExist);
  });
  return entries.filter((entry) => entry !== undefined);
}
