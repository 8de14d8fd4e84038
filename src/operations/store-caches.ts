import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Digest } from '../oci/digest.ts';
import type { Kit } from './kit.ts';
import { layerCacheIn } from './layer-cache.ts';

/** How much of what `<home>` holds beside the store can be made again, or is of no use any more. */
export interface CacheUse {
  /** What layers became when they were packed (`cache/layers`). */
  readonly layers: { readonly entries: number; readonly stale: number; readonly bytes: number };
  /** The text of Kitfiles that were packed here (`kitfiles`). */
  readonly kitfiles: { readonly entries: number; readonly stale: number; readonly bytes: number };
}

const RECORD = /^[0-9a-f]{64}$/;
/** A record that is being written; where no lease is held, one that never will be. */
const UNFINISHED = /^[0-9a-f]{64}\.\d+$/;

/** Counts the caches, and with `remove` takes away what belongs to no blob of the store. `holds` says whether it has one. */
export async function useOfCaches({ home }: Pick<Kit, 'home'>, holds: (digest: Digest) => boolean, remove: boolean): Promise<CacheUse> {
  const file = join(home, 'cache', 'layers');
  const { dropped, total } = await layerCacheIn(home).retain(holds, !remove);
  const layers = { entries: total, stale: dropped, bytes: await sizeOf(file) };

  const folder = join(home, 'kitfiles');
  let [entries, stale, bytes] = [0, 0, 0];
  for (const name of await readdir(folder).catch((): string[] => [])) {
    const path = join(folder, name);
    const isRecord = RECORD.test(name);
    if (!isRecord && !UNFINISHED.test(name)) continue;
    entries += 1;
    bytes += await sizeOf(path);
    if (isRecord && holds(`sha256:${name}`)) continue;
    stale += 1;
    if (remove) await rm(path, { force: true });
  }
  return { layers, kitfiles: { entries, stale, bytes } };
}

async function sizeOf(path: string): Promise<number> {
  return await stat(path).then(
    ({ size }) => size,
    () => 0,
  );
}
