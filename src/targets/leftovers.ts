import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { tryLock } from './lock.ts';
import { isAbandoned, readLockFile } from './lock-file.ts';
import { abandonedTemporary } from './temporary-name.ts';

/** A file in a store or layout that is no part of its content, and that nobody is writing. */
export interface Leftover {
  readonly path: string;
  /**
   * `partial`: a broken-off download that the next one goes on with. `damaged`: a blob that was moved aside. `garbage`: one that was
   * being deleted. `temporary`: of a process that died, or a day old and of another tool. `lock`: a lock or lease of a dead process.
   */
  readonly kind: 'partial' | 'damaged' | 'garbage' | 'temporary' | 'lock';
  readonly bytes: number;
  readonly modifiedMs: number;
}

const SHARED = /^sha(?:256|512)-[0-9a-f]+\.partial$/;
const LOCK = /\.lock(?:\.[0-9a-f]+)*$/;
/** How oras and skopeo name what they are writing. */
const FOREIGN = /^(?:[0-9a-f]{64,128}_\d+|oci-put-blob\d+)$/;
const OLD_MS = 24 * 60 * 60 * 1000;

/** What lies about in a store or layout: in its directory, `ingest/` and `leases/`. */
export async function leftoversOf(storage: string): Promise<Leftover[]> {
  const found: Leftover[] = [];
  for (const directory of [storage, join(storage, 'ingest'), join(storage, 'leases')]) found.push(...(await leftoversIn(directory)));
  return found;
}

/** The same for one directory. */
export async function leftoversIn(directory: string): Promise<Leftover[]> {
  const names = await readdir(directory).catch((): string[] => []);
  const dead = new Set(await abandonedTemporary(directory));
  const found: Leftover[] = [];
  for (const name of names) {
    const path = join(directory, name);
    const stats = await stat(path).catch(() => undefined);
    if (stats?.isFile() !== true) continue;
    const kind = dead.has(path) ? 'temporary' : await kindOf(directory, name, stats.mtimeMs);
    if (kind !== undefined) found.push({ path, kind, bytes: stats.size, modifiedMs: stats.mtimeMs });
  }
  return found;
}

/** Deletes one, unless somebody has begun to use it. Returns whether it is gone. */
export async function removeLeftover({ path, kind }: Leftover): Promise<boolean> {
  // taking a lock breaks it where its process is dead
  const claim = kind === 'partial' ? await tryLock(`${path}.lock`) : kind === 'lock' ? await tryLock(path) : undefined;
  if (claim === undefined && (kind === 'partial' || kind === 'lock')) return false;
  try {
    if (kind === 'lock') return true;
    return await rm(path, { force: true }).then(
      () => true,
      () => false,
    );
  } finally {
    await claim?.release();
  }
}

async function kindOf(directory: string, name: string, modifiedMs: number): Promise<Leftover['kind'] | undefined> {
  if (name.endsWith('.damaged')) return 'damaged';
  if (name.endsWith('.garbage')) return 'garbage';
  if (SHARED.test(name)) return (await isDead(join(directory, `${name}.lock`))) === false ? undefined : 'partial';
  if (FOREIGN.test(name)) return Date.now() - modifiedMs > OLD_MS ? 'temporary' : undefined;
  const isLock = LOCK.test(name) || directory.endsWith('leases');
  return isLock && (await isDead(join(directory, name))) === true ? 'lock' : undefined;
}

/** Undefined when there is no lock file. */
async function isDead(path: string): Promise<boolean | undefined> {
  const holder = await readLockFile(path).catch(() => undefined);
  return holder === undefined ? undefined : isAbandoned(holder);
}
