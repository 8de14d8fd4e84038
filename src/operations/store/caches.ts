import { readdir, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Digest } from '../../oci/digest.ts';
import type { Kit } from '../kit.ts';
import { readSourceRecord, sourceRecords } from '../artifact/source-record.ts';
import { importRecords, readRecord } from '../import-source/record.ts';
import { layerCacheIn } from '../pack/layer-cache.ts';

/** How much of what `<home>` holds beside the store can be made again, or is of no use any more. */
export interface CacheUse {
  /** What layers became when they were packed (`cache/layers`). */
  readonly layers: { readonly entries: number; readonly stale: number; readonly bytes: number };
  /** The text of Kitfiles that were packed here (`kitfiles`). */
  readonly kitfiles: { readonly entries: number; readonly stale: number; readonly bytes: number };
  /** From which commits manifests were packed here (`sources`). */
  readonly sources: { readonly entries: number; readonly stale: number; readonly bytes: number };
  /** What files from afar became (`cache/imports`), and folders of imports that were broken off (`cache/import-*`). */
  readonly imports: { readonly entries: number; readonly stale: number; readonly bytes: number };
}

const YEAR_MS = 366 * 24 * 3_600_000;
/** No import goes on for so long after its folder was made; a lease would not tell, for imports take none before they have looked. */
const ABANDONED_MS = 24 * 3_600_000;
const RECORD = /^[0-9a-f]{64}$/;
/** A record that is being written; where no lease is held, one that never will be. */
const UNFINISHED = /^[0-9a-f]{64}\.\d+$/;

/** Folders that an import works in while it runs. */
const WORK = /^import-[\w-]{6}$/;

/** Counts the caches, and with `remove` takes away what belongs to no blob of the store. `holds` says whether it has one. */
export async function useOfCaches({ home }: Pick<Kit, 'home'>, holds: (digest: Digest) => boolean, remove: boolean): Promise<CacheUse> {
  const file = join(home, 'cache', 'layers');
  const { dropped, total } = await layerCacheIn(home).retain(holds, !remove);
  const layers = { entries: total, stale: dropped, bytes: await sizeOf(file) };

  return {
    layers,
    kitfiles: await useOfRecords(join(home, 'kitfiles'), holds, remove),
    sources: await useOfRecords(sourceRecords(home), holds, remove, isYoungElsewhere),
    imports: await useOfImports(home, holds, remove),
  };
}

/** Records by the digest of a blob: each goes with it, unless `isKept` says otherwise. */
async function useOfRecords(
  folder: string,
  holds: (digest: Digest) => boolean,
  remove: boolean,
  isKept: (path: string) => Promise<boolean> = async () => await Promise.resolve(false),
): Promise<CacheUse['kitfiles']> {
  let [entries, stale, bytes] = [0, 0, 0];
  for (const name of await readdir(folder).catch((): string[] => [])) {
    const path = join(folder, name);
    const isRecord = RECORD.test(name);
    if (!isRecord && !UNFINISHED.test(name)) continue;
    entries += 1;
    bytes += await sizeOf(path);
    if (isRecord && (holds(`sha256:${name}`) || (await isKept(path)))) continue;
    stale += 1;
    if (remove) await rm(path, { force: true });
  }
  return { entries, stale, bytes };
}

/** What was never in the store cannot go with what is there. */
async function isYoungElsewhere(path: string): Promise<boolean> {
  return (await readSourceRecord(path))?.elsewhere === true && Date.now() - (await lastUsed(path)) < YEAR_MS;
}

async function useOfImports(home: string, holds: (digest: Digest) => boolean, remove: boolean): Promise<CacheUse['imports']> {
  const use = { entries: 0, stale: 0, bytes: 0 };
  const take = async (path: string, isStale: boolean): Promise<void> => {
    use.entries += 1;
    use.bytes += await sizeOf(path);
    if (!isStale) return;
    use.stale += 1;
    if (remove) await rm(path, { recursive: true, force: true });
  };
  const records = importRecords(home);
  for (const name of await readdir(records).catch((): string[] => [])) {
    const path = join(records, name);
    const digest = RECORD.test(name) ? (await readRecord(path))?.digest : undefined;
    await take(path, digest === undefined || !holds(digest));
  }
  const cache = dirname(records);
  for (const name of await readdir(cache).catch((): string[] => []))
    if (WORK.test(name)) await take(join(cache, name), Date.now() - (await lastUsed(join(cache, name))) > ABANDONED_MS);
  return use;
}

async function lastUsed(path: string): Promise<number> {
  return await stat(path).then(
    ({ mtimeMs }) => mtimeMs,
    () => Date.now(),
  );
}

async function sizeOf(path: string): Promise<number> {
  return await stat(path).then(
    ({ size }) => size,
    () => 0,
  );
}
