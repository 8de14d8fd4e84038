import type { Client } from 'pg';
import { KitError } from '../errors.ts';
import type { Database, Row, Statement } from './database.ts';

const CONNECT_MS = 15_000;
const LOCK_MS = 30_000;
/** Names the lock among those of the database: `kit` in ASCII. */
const LOCK = 0x6b6974;
const LOCK_NOT_AVAILABLE = '55P03';

/** True for `postgres://` and `postgresql://`. */
export function isPostgresUrl(text: string): boolean {
  return /^postgres(?:ql)?:\/\//i.test(text);
}

/** A connection string without what is secret in it. */
function describePostgresUrl(url: URL | null): string {
  if (url === null) return 'postgres://...';
  const host = url.searchParams.get('host') ?? url.host;
  return `postgres://${host === '' ? 'localhost' : host}${url.pathname}`;
}

/** As libpq has it, a user may stand before no host: that of a socket. */
function parsePostgresUrl(text: string): URL | null {
  return URL.parse(text.replace('@/', '@localhost/'));
}

/** @param url a connection string of libpq; what is missing in it comes from PGHOST, PGUSER, PGPASSWORD ... @throws KitError DATABASE_FAILED */
export async function openPostgres(url: string): Promise<Database> {
  const parsed = parsePostgresUrl(url);
  const name = describePostgresUrl(parsed);
  if (parsed === null)
    throw new KitError('USAGE', 'the connection string is no URL', {
      hint: 'write postgres://USER@HOST:PORT/DATABASE; special characters as %XX',
    });
  const { default: pg } = await import('pg');
  const secrets = secretsIn(parsed);
  return await explained({ name, secrets }, async () => {
    const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: CONNECT_MS, application_name: 'kit' });
    // a connection that breaks between two queries makes the next one fail; unheard, it would end the process
    client.on('error', () => undefined);
    await client.connect();
    return new PostgresDatabase(name, secrets, client);
  });
}

interface Place {
  readonly name: string;
  readonly secrets: readonly string[];
}

class PostgresDatabase implements Database {
  readonly dialect = 'postgres';
  readonly name: string;
  readonly #place: Place;
  readonly #client: Client;
  #last: Promise<unknown> = Promise.resolve();

  constructor(name: string, secrets: readonly string[], client: Client) {
    this.name = name;
    this.#place = { name, secrets };
    this.#client = client;
  }

  async all({ sql, parameters = [] }: Statement): Promise<Row[]> {
    return await this.#inTurn(async () => (await this.#client.query<Row>(sql, [...parameters])).rows);
  }

  async write(statements: readonly Statement[]): Promise<void> {
    await this.#inTurn(async () => {
      await this.#client.query('BEGIN');
      try {
        for (const { sql, parameters = [] } of statements) await this.#client.query(sql, [...parameters]);
        await this.#client.query('COMMIT');
      } catch (error) {
        await this.#client.query('ROLLBACK').catch(() => undefined);
        throw error;
      }
    });
  }

  /** The lock belongs to the connection: when this process dies, it is free. */
  async exclusively<T>(work: () => Promise<T>): Promise<T> {
    await this.all({ sql: `SELECT set_config('lock_timeout', '${LOCK_MS}ms', false)` });
    await this.all({ sql: `SELECT pg_advisory_lock(${LOCK}, hashtext(current_schema()))` });
    try {
      return await work();
    } finally {
      await this.all({ sql: `SELECT pg_advisory_unlock(${LOCK}, hashtext(current_schema()))` }).catch(() => undefined);
    }
  }

  async close(): Promise<void> {
    await this.#client.end().catch(() => undefined);
  }

  /** One connection, one transaction at a time. */
  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(async () => await explained(this.#place, work));
    this.#last = turn.catch(() => undefined);
    return await turn;
  }
}

function secretsIn({ password, searchParams }: URL): string[] {
  const found = [password, ...['password', 'sslpassword'].map((name) => searchParams.get(name) ?? '')];
  return found.flatMap((secret) => [secret, decoded(secret)]).filter((secret) => secret !== '');
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

async function explained<T>({ name, secrets }: Place, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof KitError) throw error;
    const { message, code } = error as { message: string; code?: string };
    if (code === LOCK_NOT_AVAILABLE) {
      throw new KitError('STORE_BUSY', `${name} is being synchronised by another process`, {
        hint: 'wait until it has finished, then run the command again',
      });
    }
    // the cause is left out: it may hold the connection string
    const reason = secrets.reduce((text, secret) => text.replaceAll(secret, '...'), message || (code ?? 'no answer'));
    throw new KitError('DATABASE_FAILED', `${name}: ${reason}`, { hint: hintFor(code) });
  }
}

function hintFor(code: string | undefined): string {
  if (code === '28P01' || code === '28000') return 'look at user and password; $PGPASSWORD and ~/.pgpass keep it off the command line';
  if (code === '3D000') return 'make the database first: `createdb NAME`';
  if (code === '42501') return 'the user needs the right to create and write tables in its schema';
  return 'look at host, port and user in the connection string, and whether the server is up';
}
