import { isKitError, KitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import type { Digest } from '../../oci/digest.ts';
import { formatLocation, type Location } from '../../oci/reference.ts';
import { copy } from '../../targets/copy.ts';
import { journaled } from '../history/journal.ts';
import type { Kit } from '../kit.ts';
import { MountCandidates } from './mount-candidates.ts';
import { openDestination, openSource, withDefaultTag } from '../artifact/open-location.ts';
import { eachTag } from '../artifact/references.ts';

/** One tag (or digest) that was moved. */
export interface Transferred {
  readonly reference: string;
  readonly digest: Digest;
}

export interface PushArguments {
  readonly source: Location;
  /** Default: the registry that `source` names. */
  readonly destination?: Location;
}

/** Sends ModelKits from the store or a layout to a registry or layout: each tag of the source, or its first under the destination's tags. */
export async function push(kit: Kit, { source, destination }: PushArguments, call: CallOptions = {}): Promise<Transferred[]> {
  const sources = eachTag(source);
  const results: Transferred[] = [];
  for (const one of destination === undefined ? sources : sources.slice(0, 1)) {
    await using to = await openDestination(kit, withDefaultTag(destination ?? one), 'remote');
    const from = await openSource(kit, one, 'local', call);
    const candidates = mountCandidates(kit, destination ?? one);
    const options = { ...call, concurrency: kit.concurrency, action: 'push', mountFrom: candidates?.of } as const;
    const target = to.registry === undefined ? to.target : journaled(kit, to.target, 'registry', call);
    const { digest } = await copy(from.target, from.reference, target, to.tags, options).catch((error: unknown) => {
      throw withRepairHint(error, from.name);
    });
    await to.close();
    for (const reference of destination === undefined ? [to.name] : eachTag(destination).map(formatLocation))
      results.push({ reference, digest });
  }
  return results;
}

function mountCandidates(kit: Kit, destination: Location): MountCandidates | undefined {
  if (destination.type !== 'reference') return undefined;
  const { registry, repository } = destination.reference;
  return registry === undefined ? undefined : new MountCandidates(() => kit.store(), { registry, repository });
}

// it is the receiver that notices: what it says does not tell that the copy here is the damaged one
function withRepairHint(error: unknown, source: string): unknown {
  if (!isKitError(error, 'DIGEST_MISMATCH', 'SIZE_MISMATCH') || error.origin !== 'source') return error;
  return new KitError(error.code, `${source} is damaged: ${error.message}`, {
    cause: error,
    hint: 'pack it again, or pull it from a registry that has it: that repairs what is stored',
  });
}
