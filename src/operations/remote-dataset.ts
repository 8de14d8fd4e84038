import type { CallOptions } from '../events.ts';
import type { Dataset } from '../kitfile/types.ts';

/** A dataset with a `remotePath` is no layer: it is neither packed nor unpacked, which is said. */
export function warnOfRemoteDatasets(datasets: readonly Dataset[] | undefined, { onEvent }: CallOptions): void {
  for (const { name, path, remotePath } of datasets ?? []) {
    if (remotePath === undefined) continue;
    onEvent?.({
      type: 'warning',
      code: 'REMOTE_DATASET',
      message: `dataset ${name ?? path ?? ''} stays at ${remotePath}: its files are not part of the ModelKit`,
    });
  }
}
