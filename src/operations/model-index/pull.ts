import { isKitError, KitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import { formatLocation, type Reference } from '../../oci/reference.ts';
import type { Kit } from '../kit.ts';
import { loadIndex } from './model-index.ts';
import { type EditedIndex, replaceIndex, requireTag } from './edit.ts';
import { openDestination } from '../artifact/open-location.ts';
import { admission } from '../policy/configured.ts';
import { pull, type PullOptions } from '../transfer/pull.ts';
import type { Transferred } from '../transfer/push.ts';
import type { ChosenVariant } from './variant.ts';

/** Fetches an index into local storage, alone: what it lists stays in the registry. */
export async function pullIndex(kit: Kit, reference: Reference, call: CallOptions = {}): Promise<EditedIndex> {
  const index = requireTag(reference);
  const loaded = await loadIndex(kit, { type: 'reference', reference: index }, 'remote', call);
  if (!loaded.isOfModelKits) {
    throw new KitError('UNSUPPORTED', `${loaded.name} is an index, but not one of ModelKits: it is of no use alone`, {
      hint: `\`kit pull ${loaded.name}\` fetches it with all that it lists, and with \`--label\` one of it`,
    });
  }
  const { target, name, descriptor } = loaded;
  const admit = await admission(kit, undefined);
  await admit?.({ target, reference: descriptor.digest, name, isLocal: false }, descriptor, call);
  return await replaceIndex(kit, index, () => loaded, call);
}

/**
 * Fetches what was chosen from an index into local storage, and no more of it. It gets the tag that the index recorded, if the registry
 * has it under that tag still.
 */
export async function pullVariant(
  kit: Kit,
  { location, source, tag, descriptor }: ChosenVariant,
  call: PullOptions = {},
): Promise<Transferred[]> {
  const pulled = await pull(kit, location, call);
  if (tag === undefined || location.type !== 'reference') return pulled;
  const current = await source.target.resolve(tag, call).catch((error: unknown) => {
    // gone, or no tag at all: whoever made the index could write what they liked
    if (isKitError(error)) return undefined;
    throw error;
  });
  if (current?.digest !== descriptor.digest) return pulled;
  const named = { type: 'reference', reference: { ...location.reference, tags: [tag], digest: undefined } } as const;
  await using to = await openDestination(kit, named, 'local');
  await to.target.tag(current, tag, call);
  return pulled.map((one) => (one.reference === formatLocation(location) ? { ...one, reference: formatLocation(named) } : one));
}
