import type { CallOptions } from '../../events.ts';
import type { Kit } from '../kit.ts';
import { loadIndex } from './model-index.ts';
import { push, type PushArguments, type Transferred } from '../transfer/push.ts';

/**
 * Sends an index to a registry, with what it lists as far as that is here. What is not must be there already.
 * @throws KitError UNSUPPORTED when it is no index, BLOB_NOT_FOUND when neither side has what it lists
 */
export async function pushIndex(kit: Kit, args: PushArguments, call: CallOptions = {}): Promise<Transferred[]> {
  await loadIndex(kit, args.source, 'local', call);
  return await push(kit, args, call);
}
