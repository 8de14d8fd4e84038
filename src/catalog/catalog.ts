import { KitError } from '../errors.ts';
import { type Access, type Database, insert, type Row, type Statement } from './database.ts';
import type { SqlFilter } from './sql-filter.ts';

/** Of the tables, and of what the documents in them hold. */
const VERSION = 2;
const PAGE = 2000;
const CHUNK = 500;

/** A manifest below a target: itself, or a member of the index that it is. */
export interface Member {
  readonly digest: string;
  /** JSON: what the index says of it; null for a manifest that is no member. */
  readonly detail: string | null;
  /** JSON: what its content says; null for what is no model. */
  readonly document: string | null;
  /** JSON: what the headers of its weights say; null where nobody looked. */
  readonly tensors: string | null;
}

/** What the digest that a tag is on stands for. */
export interface TargetContent {
  readonly target: string;
  /** One at least. */
  readonly members: readonly Member[];
}

/** A model at its place. */
export interface Candidate {
  readonly repository: string;
  readonly target: string;
  /** In no order. */
  readonly tags: readonly string[];
  readonly digest: string;
  readonly detail: string | null;
  readonly document: string;
  /** JSON; null where nobody looked. */
  readonly tensors: string | null;
  readonly signatures: string | null;
}

export interface Scope {
  /** As it was given: a repository, a registry, a pattern. */
  readonly scope: string;
  readonly tensors: boolean;
  readonly signatures: boolean;
}

function schema(json: string): Statement[] {
  return [
    'CREATE TABLE IF NOT EXISTS kit_catalog (version INTEGER NOT NULL)',
    'CREATE TABLE IF NOT EXISTS kit_scopes (scope TEXT PRIMARY KEY, tensors INTEGER NOT NULL, signatures INTEGER NOT NULL, synced TEXT NOT NULL)',
    'CREATE TABLE IF NOT EXISTS kit_tags (repository TEXT NOT NULL, tag TEXT NOT NULL, target TEXT NOT NULL, PRIMARY KEY (repository, tag))',
    'CREATE TABLE IF NOT EXISTS kit_members (target TEXT NOT NULL, digest TEXT NOT NULL, detail TEXT, PRIMARY KEY (target, digest))',
    `CREATE TABLE IF NOT EXISTS kit_artifacts (digest TEXT PRIMARY KEY, document TEXT, tensors TEXT, facts ${json})`,
    'CREATE TABLE IF NOT EXISTS kit_signatures (repository TEXT NOT NULL, digest TEXT NOT NULL, document TEXT NOT NULL, PRIMARY KEY (repository, digest))',
    'CREATE INDEX IF NOT EXISTS kit_tags_target ON kit_tags (target)',
    'CREATE INDEX IF NOT EXISTS kit_members_digest ON kit_members (digest)',
    `INSERT INTO kit_catalog (version) SELECT ${VERSION} WHERE NOT EXISTS (SELECT 1 FROM kit_catalog)`,
  ].map((sql) => ({ sql }));
}

/** The catalog in a database, made there where it may be new. Closes the database when it refuses it. @throws KitError CATALOG_INVALID */
export async function openCatalog(database: Database, access: Access): Promise<Catalog> {
  try {
    const hasTables = async (): Promise<boolean> => (await tablesIn(database)).includes('kit_catalog');
    if (!(await hasTables())) {
      if (access !== 'create') {
        throw new KitError('CATALOG_INVALID', `${database.name} holds no catalog`, {
          hint: 'write one with `kit catalog sync REGISTRY/REPOSITORY`',
        });
      }
      await refuseForeign(database);
      await database.exclusively(async () => await database.write(schema(database.dialect === 'sqlite' ? 'BLOB' : 'JSONB')));
    }
    await checkVersion(database);
    return new Catalog(database);
  } catch (error) {
    await database.close();
    throw error;
  }
}

async function tablesIn(database: Database): Promise<string[]> {
  const sql =
    database.dialect === 'sqlite'
      ? "SELECT name FROM sqlite_master WHERE type = 'table'"
      : 'SELECT tablename::text AS name FROM pg_tables WHERE schemaname = current_schema()';
  return (await database.all({ sql })).map((row) => String(row['name']));
}

/** A file that somebody else's program works with is not to be written into; in a server's schema several may live side by side. */
async function refuseForeign(database: Database): Promise<void> {
  if (database.dialect !== 'sqlite' || (await tablesIn(database)).length === 0) return;
  throw new KitError('CATALOG_INVALID', `${database.name} is a database of another program`, { hint: 'name a file that is not there yet' });
}

async function checkVersion(database: Database): Promise<void> {
  const [row] = await database.all({ sql: 'SELECT version FROM kit_catalog' });
  const version = Number(row?.['version']);
  if (version === VERSION) return;
  const isNewer = version > VERSION;
  throw new KitError('CATALOG_INVALID', `${database.name} is a catalog of version ${version}, and this kit reads version ${VERSION}`, {
    hint: isNewer ? 'use the newer kit that made it' : 'it can be made again: remove it, then `kit catalog sync`',
  });
}

/** What is known of manifests, by digest, and which tags are on them. */
export class Catalog {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  get name(): string {
    return this.#database.name;
  }

  get dialect(): Database['dialect'] {
    return this.#database.dialect;
  }

  /** Those of `targets` of which everything is known, with the tensors of their models if asked. */
  async known(targets: readonly string[], withTensors: boolean): Promise<Set<string>> {
    const found = new Set<string>();
    for (const chunk of chunksOf(targets)) {
      const complete = withTensors ? 'HAVING min(CASE WHEN a.document IS NULL OR a.tensors IS NOT NULL THEN 1 ELSE 0 END) = 1' : '';
      const sql = `SELECT m.target FROM kit_members m JOIN kit_artifacts a ON a.digest = m.digest WHERE m.target IN (${list(chunk)}) GROUP BY m.target ${complete}`;
      for (const row of await this.#database.all({ sql, parameters: chunk })) found.add(String(row['target']));
    }
    return found;
  }

  /** Adds what is not known yet. Tensors are added to what is known without them. */
  async add(contents: readonly TargetContent[]): Promise<void> {
    const json = this.#database.dialect === 'sqlite' ? 'jsonb(?)' : '?::jsonb';
    const columns = { digest: '?', document: '?', tensors: '?', facts: json };
    const members = contents.flatMap((content) => content.members);
    const rows = new Map(
      members.map(({ digest, document, tensors }) => [digest, [digest, document, tensors, factsText(document, tensors)]] as const),
    );
    const [plain, deep] = [
      [...rows.values()].filter(([, , tensors]) => tensors === null),
      [...rows.values()].filter(([, , tensors]) => tensors !== null),
    ];
    await this.#database.write([
      ...insert('kit_artifacts', columns, plain, { key: 'digest' }),
      ...insert('kit_artifacts', columns, deep, { key: 'digest', replaced: ['document', 'tensors', 'facts'] }),
      ...insert(
        'kit_members',
        { target: '?', digest: '?', detail: '?' },
        contents.flatMap(({ target, members: own }) => own.map(({ digest, detail }) => [target, digest, detail])),
        { key: 'target, digest' },
      ),
    ]);
  }

  /** What was added of them. */
  async contents(targets: readonly string[]): Promise<Map<string, Member[]>> {
    const found = new Map<string, Member[]>();
    for (const chunk of chunksOf(targets)) {
      const sql = `SELECT m.target, m.digest, m.detail, a.document, a.tensors FROM kit_members m JOIN kit_artifacts a ON a.digest = m.digest WHERE m.target IN (${list(chunk)}) ORDER BY m.target, m.digest`;
      for (const row of await this.#database.all({ sql, parameters: chunk })) {
        const [detail, document, tensors] = [textOf(row, 'detail'), textOf(row, 'document'), textOf(row, 'tensors')];
        const member = { digest: String(row['digest']), detail, document, tensors };
        const target = String(row['target']);
        found.set(target, [...(found.get(target) ?? []), member]);
      }
    }
    return found;
  }

  /** The tags of a repository as they were when it was last looked at. */
  async tags(repository: string): Promise<Map<string, string>> {
    const sql = 'SELECT tag, target FROM kit_tags WHERE repository = $1';
    const rows = await this.#database.all({ sql, parameters: [repository] });
    return new Map(rows.map((row) => [String(row['tag']), String(row['target'])]));
  }

  /** Puts tags on their targets, and takes others away. */
  async changeTags(repository: string, moved: ReadonlyMap<string, string>, gone: readonly string[]): Promise<void> {
    await this.#database.write([
      ...gone.map((tag) => ({ sql: 'DELETE FROM kit_tags WHERE repository = $1 AND tag = $2', parameters: [repository, tag] })),
      ...insert(
        'kit_tags',
        { repository: '?', tag: '?', target: '?' },
        [...moved].map(([tag, target]) => [repository, tag, target]),
        { key: 'repository, tag', replaced: ['target'] },
      ),
    ]);
  }

  async setSignatures(rows: readonly { readonly repository: string; readonly digest: string; readonly document: string }[]): Promise<void> {
    const columns = { repository: '?', digest: '?', document: '?' };
    const values = rows.map(({ repository, digest, document }) => [repository, digest, document]);
    await this.#database.write(insert('kit_signatures', columns, values, { key: 'repository, digest', replaced: ['document'] }));
  }

  async repositories(): Promise<string[]> {
    const rows = await this.#database.all({ sql: 'SELECT DISTINCT repository FROM kit_tags ORDER BY repository' });
    return rows.map((row) => String(row['repository']));
  }

  async scopes(): Promise<Scope[]> {
    const rows = await this.#database.all({ sql: 'SELECT scope, tensors, signatures FROM kit_scopes ORDER BY scope' });
    return rows.map((row) => ({ scope: String(row['scope']), tensors: row['tensors'] === 1, signatures: row['signatures'] === 1 }));
  }

  async setScopes(scopes: readonly Scope[], synced: string): Promise<void> {
    const columns = { scope: '?', tensors: '?', signatures: '?', synced: '?' };
    const rows = scopes.map(({ scope, tensors, signatures }) => [scope, Number(tensors), Number(signatures), synced]);
    await this.#database.write(insert('kit_scopes', columns, rows, { key: 'scope', replaced: ['tensors', 'signatures', 'synced'] }));
  }

  /** Forgets what no tag leads to any more. */
  async sweep(): Promise<void> {
    await this.#database.write([
      { sql: 'DELETE FROM kit_members WHERE NOT EXISTS (SELECT 1 FROM kit_tags t WHERE t.target = kit_members.target)' },
      { sql: 'DELETE FROM kit_artifacts WHERE NOT EXISTS (SELECT 1 FROM kit_members m WHERE m.digest = kit_artifacts.digest)' },
      {
        sql: `DELETE FROM kit_signatures WHERE NOT EXISTS (SELECT 1 FROM kit_members m JOIN kit_tags t ON t.target = m.target
          WHERE m.digest = kit_signatures.digest AND t.repository = kit_signatures.repository)`,
      },
    ]);
  }

  /** How much is known. */
  async count(): Promise<{ readonly tags: number; readonly artifacts: number; readonly models: number; readonly repositories: number }> {
    const [row] = await this.#database.all({
      sql: `SELECT (SELECT count(*) FROM kit_tags) AS tags, (SELECT count(DISTINCT repository) FROM kit_tags) AS repositories,
        (SELECT count(*) FROM kit_artifacts) AS artifacts, (SELECT count(*) FROM kit_artifacts WHERE document IS NOT NULL) AS models`,
    });
    const of = (name: string): number => Number(row?.[name]);
    return { tags: of('tags'), repositories: of('repositories'), artifacts: of('artifacts'), models: of('models') };
  }

  /** Forgets all manifests. */
  async clear(): Promise<void> {
    await this.#database.write([{ sql: 'DELETE FROM kit_members' }, { sql: 'DELETE FROM kit_artifacts' }]);
  }

  /** The models that the filter lets through, by digest, page by page. `filter` makes a condition whose parameters begin at a number. */
  async *candidates(filter: (first: number) => SqlFilter | undefined): AsyncGenerator<Candidate[]> {
    const { sql: condition = 'TRUE', parameters = [] } = filter(2) ?? {};
    const sql = `SELECT a.digest, a.document, a.tensors FROM kit_artifacts a
      WHERE a.document IS NOT NULL AND a.digest > $1 AND ${condition} ORDER BY a.digest LIMIT ${PAGE}`;
    for (let last = ''; ;) {
      const rows = await this.#database.all({ sql, parameters: [last, ...parameters] });
      if (rows.length > 0) yield await this.#place(rows);
      if (rows.length < PAGE) return;
      last = String(rows.at(-1)?.['digest']);
    }
  }

  /** Artifacts at each of their places, with the tags there. */
  async #place(artifacts: readonly Row[]): Promise<Candidate[]> {
    const byDigest = new Map(artifacts.map((row) => [String(row['digest']), row]));
    const found = new Map<string, Candidate & { readonly tags: string[] }>();
    for (const chunk of chunksOf([...byDigest.keys()])) {
      const sql = `SELECT m.digest, m.target, m.detail, t.repository, t.tag, s.document AS signatures
        FROM kit_members m JOIN kit_tags t ON t.target = m.target
        LEFT JOIN kit_signatures s ON s.repository = t.repository AND s.digest = m.digest WHERE m.digest IN (${list(chunk)})`;
      for (const row of await this.#database.all({ sql, parameters: chunk })) {
        const candidate = toCandidate(row, byDigest.get(String(row['digest'])) ?? {});
        const key = `${candidate.repository} ${candidate.target} ${candidate.digest}`;
        const known = found.get(key);
        if (known === undefined) found.set(key, candidate);
        else known.tags.push(...candidate.tags);
      }
    }
    return [...found.values()];
  }

  async exclusively<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    return await this.#database.exclusively(work, signal);
  }

  async close(): Promise<void> {
    await this.#database.close();
  }
}

function toCandidate(place: Row, artifact: Row): Candidate & { readonly tags: string[] } {
  return {
    repository: String(place['repository']),
    target: String(place['target']),
    tags: [String(place['tag'])],
    digest: String(place['digest']),
    detail: textOf(place, 'detail'),
    document: String(artifact['document']),
    tensors: textOf(artifact, 'tensors'),
    signatures: textOf(place, 'signatures'),
  };
}

/** All that an expression may be about, for the database to look into. */
function factsText(document: string | null, tensors: string | null): string | null {
  return document === null || tensors === null ? document : `${document.slice(0, -1)},"tensors":${tensors}}`;
}

function textOf(row: Row, name: string): string | null {
  const value = row[name];
  return typeof value === 'string' ? value : null;
}

function list(values: readonly string[]): string {
  return values.map((_, at) => `$${at + 1}`).join(', ');
}

function* chunksOf(values: readonly string[]): Generator<readonly string[]> {
  for (let start = 0; start < values.length; start += CHUNK) yield values.slice(start, start + CHUNK);
}
