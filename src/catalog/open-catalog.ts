import { existsSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { isKitError, KitError } from '../errors.ts';
import { type Catalog, openCatalog } from './catalog.ts';
import type { Access } from './database.ts';
import { isPostgresUrl, openPostgres } from './postgres.ts';
import { openSqlite } from './sqlite.ts';

/**
 * The catalog at a path, or behind a connection string of PostgreSQL.
 * @throws KitError PATH_NOT_FOUND | CATALOG_INVALID | DATABASE_FAILED | IO_FAILED | STORE_BUSY
 */
export async function openCatalogAt(where: string, access: Access): Promise<Catalog> {
  if (isPostgresUrl(where)) return await openCatalog(await openPostgres(where), access);
  if (/^[a-z][a-z\d+.-]*:\/\//i.test(where)) {
    throw new KitError('USAGE', `\`${where.replace(/:\/\/.*$/s, '://')}\` is no kind of database that is known`, {
      hint: 'write postgres://USER@HOST/DATABASE, or the path of an SQLite file',
    });
  }
  const path = resolve(where);
  if (access !== 'create' && !existsSync(path))
    throw new KitError('PATH_NOT_FOUND', `there is no catalog ${path}`, { hint: 'write it with `kit catalog sync REGISTRY/REPOSITORY`' });
  return await openCatalog(await openSqlite(path, access), access);
}

async function openFile(path: string): Promise<Catalog> {
  return await openCatalog(await openSqlite(path, 'create'), 'create');
}

/** Beyond this a cache begins anew: about half a GB. */
const MAX_CACHED = 100_000;

/** A catalog that is only a cache: made again where it is of no use, in memory where there is no place for it. */
export async function openCache(path: string): Promise<Catalog> {
  // a home that cannot be written to is none of our business
  await mkdir(dirname(path), { recursive: true }).catch(() => undefined);
  const cache = await openFile(path).catch(async (error: unknown) => {
    if (isKitError(error, 'CATALOG_INVALID')) {
      await rm(path, { force: true });
      return await openFile(path).catch(async () => await openFile(':memory:'));
    }
    if (isKitError(error, 'IO_FAILED', 'DISK_FULL', 'STORE_BUSY')) return await openFile(':memory:');
    throw error;
  });
  if ((await cache.count()).artifacts > MAX_CACHED) await cache.clear();
  return cache;
}
