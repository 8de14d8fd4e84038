import { spawnSync } from 'node:child_process';
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Postgres {
  /** Connection string of a database of its own, over a socket. */
  url(database: string): string;
  /** Runs SQL in a database; rows as text, columns separated by `|`. @throws Error with what psql says */
  sql(database: string, text: string): string;
  close(): void;
}

const VERSIONS = '/usr/lib/postgresql';

/** Debian keeps the programs of each version out of PATH. */
function findPrograms(): string | undefined {
  const versions = existsSync(VERSIONS) ? readdirSync(VERSIONS).toSorted((a, b) => Number(b) - Number(a)) : [];
  return versions.map((version) => join(VERSIONS, version, 'bin')).find((folder) => existsSync(join(folder, 'initdb')));
}

const programs = findPrograms();
const isRoot = process.getuid?.() === 0;
/** False where PostgreSQL is not installed (Debian: `apt install postgresql`). */
export const hasPostgres = programs !== undefined && (!isRoot || idOf('postgres') !== undefined);

function idOf(user: string): { uid: number; gid: number } | undefined {
  const [uid, gid] = ['-u', '-g'].map((flag) => Number(spawnSync('id', [flag, user], { encoding: 'utf8' }).stdout.trim() || Number.NaN));
  return uid === undefined || gid === undefined || Number.isNaN(uid) || Number.isNaN(gid) ? undefined : { uid, gid };
}

/** A server on a socket in a temporary folder, which listens on no port. Its superuser is `kit`, with a password. Close it after the tests. */
export function startPostgres(): Postgres {
  // the server refuses to run as root
  const user = isRoot ? idOf('postgres') : undefined;
  // the path of a socket is short
  const folder = mkdtempSync(join(tmpdir(), 'kit-pg-'));
  if (user !== undefined) chownSync(folder, user.uid, user.gid);
  const data = join(folder, 'data');
  const run = (program: string, ...args: readonly string[]): string => {
    const options = { encoding: 'utf8', cwd: folder, env: { PATH: process.env['PATH'], LC_ALL: 'C.UTF-8' }, ...user } as const;
    // what it leaves running must not hold our pipes
    const stdio = program === 'pg_ctl' ? 'ignore' : 'pipe';
    const { status, stdout, stderr } = spawnSync(join(programs ?? '', program), args, { ...options, stdio });
    if (status !== 0) throw new Error(`${program} ended with ${status}: ${stderr}`);
    return (stdout ?? '').trim();
  };
  const close = (): void => {
    try {
      run('pg_ctl', 'stop', '-D', data, '-m', 'immediate', '-w');
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  };
  try {
    run('initdb', '-D', data, '-U', 'kit', '--auth=trust', '--no-sync', '-E', 'UTF8', '--locale=C.UTF-8');
    run(
      'pg_ctl',
      'start',
      '-D',
      data,
      '-w',
      '-t',
      '120',
      '-l',
      join(folder, 'log'),
      '-o',
      `-k ${folder} -c listen_addresses= -c fsync=off`,
    );
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
  return {
    url: (database) => `postgres://kit:s3cret-w0rd@/${database}?host=${encodeURIComponent(folder)}`,
    sql: (database, text) => run('psql', '-h', folder, '-U', 'kit', '-d', database, '-X', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-c', text),
    close,
  };
}
