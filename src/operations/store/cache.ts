import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { withPath } from '../../targets/io-error.ts';
import type { Kit } from '../kit.ts';

export interface CacheInfo {
  /** `<home>/cache`. */
  readonly directory: string;
  readonly bytes: number;
  readonly entries: readonly { readonly name: string; readonly bytes: number }[];
}

/** What is remembered to save time: digests of packed layers, what was listed. Everything works without it. */
export async function cacheInfo(kit: Kit): Promise<CacheInfo> {
  const directory = join(kit.home, 'cache');
  return await withPath(directory, async () => {
    const entries: { name: string; bytes: number }[] = [];
    for (const name of (await namesIn(directory)).toSorted()) entries.push({ name, bytes: await sizeOf(join(directory, name)) });
    return { directory, bytes: entries.reduce((sum, { bytes }) => sum + bytes, 0), entries };
  });
}

/** Takes it away; returns what it was. */
export async function clearCache(kit: Kit): Promise<CacheInfo> {
  const info = await cacheInfo(kit);
  for (const { name } of info.entries) {
    const path = join(info.directory, name);
    await withPath(path, async () => await rm(path, { recursive: true, force: true }));
  }
  return info;
}

async function namesIn(directory: string): Promise<string[]> {
  return await readdir(directory).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  });
}

async function sizeOf(path: string): Promise<number> {
  let bytes = 0;
  const stats = await stat(path);
  if (!stats.isDirectory()) return stats.size;
  for (const entry of await readdir(path, { recursive: true, withFileTypes: true }))
    if (entry.isFile()) bytes += (await stat(join(entry.parentPath, entry.name))).size;
  return bytes;
}
