export type Dialect = 'sqlite' | 'postgres';
export type Parameter = string | number | null | readonly string[];
export type Row = Readonly<Record<string, unknown>>;

export interface Statement {
  /** With `$1`, `$2`: the parameters by number. */
  readonly sql: string;
  readonly parameters?: readonly Parameter[];
}

/** `create`: to be written, and it may be new. */
export type Access = 'read' | 'write' | 'create';

/** A database that catalogs are kept in: little of SQL differs between the two. */
export interface Database {
  readonly dialect: Dialect;
  /** For messages: never with a password. */
  readonly name: string;
  all(statement: Statement): Promise<Row[]>;
  /** All of them or none. */
  write(statements: readonly Statement[]): Promise<void>;
  /** Runs `work` while no other process does so with this database. @throws KitError STORE_BUSY */
  exclusively<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T>;
  close(): Promise<void>;
}

/** Of one statement: SQLite takes 32,766 parameters. */
const ROWS_AT_A_TIME = 500;

/** Statements that add the rows; those whose key is there already stay as they are, or are `replaced` in the columns named. */
export function insert(
  table: string,
  columns: Readonly<Record<string, string>>,
  rows: readonly (readonly Parameter[])[],
  { key, replaced = [] }: { readonly key: string; readonly replaced?: readonly string[] },
): Statement[] {
  const names = Object.keys(columns);
  const placeholders = Object.values(columns);
  const action = replaced.length === 0 ? 'NOTHING' : `UPDATE SET ${replaced.map((name) => `${name} = excluded.${name}`).join(', ')}`;
  const statements: Statement[] = [];
  for (let start = 0; start < rows.length; start += ROWS_AT_A_TIME) {
    const part = rows.slice(start, start + ROWS_AT_A_TIME);
    const tuples = part.map(
      (_, row) => `(${placeholders.map((text, at) => text.replace('?', `$${row * names.length + at + 1}`)).join(', ')})`,
    );
    const sql = `INSERT INTO ${table} (${names.join(', ')}) VALUES ${tuples.join(', ')} ON CONFLICT (${key}) DO ${action}`;
    statements.push({ sql, parameters: part.flat() });
  }
  return statements;
}
