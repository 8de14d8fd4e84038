import type { CallOptions } from '../../events.ts';
import type { Digest } from '../../oci/digest.ts';
import type { Reference } from '../../oci/reference.ts';
import { copy } from '../../targets/copy.ts';
import { journaled } from '../history/journal.ts';
import type { Kit } from '../kit.ts';
import { openDestination, openSource, withDefaultTag } from '../artifact/open-location.ts';

export interface TagResult {
  readonly source: string;
  readonly destination: string;
  readonly digest: Digest;
}

/** Gives a ModelKit of the store another name, in any repository. No bytes are copied. @throws KitError REFERENCE_NOT_FOUND */
export async function tag(kit: Kit, source: Reference, destination: Reference, call: CallOptions = {}): Promise<TagResult> {
  const from = await openSource(kit, { type: 'reference', reference: source }, 'local', call);
  await using to = await openDestination(kit, withDefaultTag({ type: 'reference', reference: destination }), 'local');
  const { digest } = await copy(from.target, from.reference, journaled(kit, to.target, 'store', call), to.tags, call);
  return { source: from.name, destination: to.name, digest };
}
