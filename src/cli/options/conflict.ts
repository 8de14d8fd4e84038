import type { Conflict } from '../../blobs/staging.ts';
import { KitError } from '../../errors.ts';

export interface ConflictFlags {
  readonly overwrite?: boolean;
  readonly ignoreExisting?: boolean;
}

/** What `--overwrite` and `--ignore-existing` ask for. @throws KitError USAGE */
export function conflictOf({ overwrite, ignoreExisting }: ConflictFlags): Conflict {
  if (overwrite === true && ignoreExisting === true) throw new KitError('USAGE', '--overwrite and --ignore-existing contradict each other');
  return overwrite === true ? 'overwrite' : ignoreExisting === true ? 'keep' : 'fail';
}
