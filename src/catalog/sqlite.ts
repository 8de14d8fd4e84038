import { chmodSync, existsSync } from 'node:fs';
import type { DatabaseSync } from 'node:sqlite';
import { KitError } from '../errors.ts';
import { withLock } from '../targets/lock.ts';
import type { Access, Database, Parameter, Row, Statement } from './database.ts';

const BUSY_MS = 30_000;
/** Result codes of SQLite (rescode.html). */
const [BUSY, LOCKED, READ_ONLY, CORRUPT, FULL, CANNOT_OPEN, NOT_A_DATABASE] = [5, 6, 8, 11, 13, 14, 26];
const IN_MEMORY = ':memory:';

/** A file of SQLite. Only its owner may read a new one; its folder is there already. @throws KitError CATALOG_INVALID | IO_FAILED | DISK_FULL */
export async function openSqlite(path: string, access: Access): Promise<Database> {
  const { DatabaseSync } = await import('node:sqlite');
  return explained(path, () => {
    const isNew = path !== IN_MEMORY && !existsSync(path);
    const database = new DatabaseSync(path, { readOnly: access === 'read', timeout: BUSY_MS });
    try {
      // opening reads nothing
      database.prepare('SELECT count(*) FROM sqlite_master').get();
      if (isNew) chmodSync(path, 0o600);
    } catch (error) {
      database.close();
      throw error;
    }
    return new SqliteDatabase(path, database);
  });
}

class SqliteDatabase implements Database {
  readonly dialect = 'sqlite';
  readonly name: string;
  readonly #database: DatabaseSync;

  constructor(path: string, database: DatabaseSync) {
    this.name = path;
    this.#database = database;
  }

  // its calls are synchronous: what is done within one cannot mix with another
  async all({ sql, parameters = [] }: Statement): Promise<Row[]> {
    return await Promise.resolve(explained(this.name, () => this.#database.prepare(numbered(sql)).all(...parameters.map(toValue))));
  }

  async write(statements: readonly Statement[]): Promise<void> {
    await Promise.resolve();
    explained(this.name, () => {
      this.#database.exec('BEGIN IMMEDIATE');
      try {
        for (const { sql, parameters = [] } of statements) this.#database.prepare(numbered(sql)).run(...parameters.map(toValue));
        this.#database.exec('COMMIT');
      } catch (error) {
        if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
        throw error;
      }
    });
  }

  async exclusively<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    if (this.name === IN_MEMORY) return await work();
    return await withLock(`${this.name}.lock`, work, { signal });
  }

  async close(): Promise<void> {
    await Promise.resolve();
    this.#database.close();
  }
}

function numbered(sql: string): string {
  return sql.replaceAll(/\$(\d+)/g, '?$1');
}

function toValue(parameter: Parameter): string | number | null {
  if (typeof parameter === 'object' && parameter !== null) throw new TypeError('SQLite has no lists');
  return parameter;
}

function explained<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    const { errcode, message, code } = cause as { errcode?: number; message: string; code?: string };
    if (errcode === undefined && code === undefined) throw cause;
    throw explain(path, errcode === undefined ? undefined : errcode & 0xff, message, cause);
  }
}

function explain(path: string, result: number | undefined, message: string, cause: unknown): KitError {
  if (result === NOT_A_DATABASE || result === CORRUPT) {
    return new KitError('CATALOG_INVALID', `${path} is no sound SQLite database: ${message}`, {
      cause,
      hint: 'name another file, or remove this one and write it anew with `kit catalog sync`',
    });
  }
  if (result === BUSY || result === LOCKED)
    return new KitError('STORE_BUSY', `${path} is being written by another process`, { cause, hint: 'run the command again' });
  if (result === FULL) return new KitError('DISK_FULL', `${path}: ${message}`, { cause, hint: 'free some space, then run it again' });
  const isDenied = result === READ_ONLY || result === CANNOT_OPEN || result === undefined;
  return new KitError('IO_FAILED', `${path} cannot be ${isDenied ? 'opened' : 'used'}: ${message}`, {
    cause,
    hint: 'look at the path and its permissions',
  });
}
