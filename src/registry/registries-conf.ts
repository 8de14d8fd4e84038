import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { homeDirectory } from '../home-directory.ts';
import { KitError } from '../errors.ts';
import type { MirrorTable } from './mirrors.ts';
import { isMissing, readToml } from './toml-file.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Most of these files hold short names (one of which is `registry`) and comments only, and what it takes to judge tables takes a tenth of
 * a start to load.
 */
const SPEAKS_OF_REGISTRIES = /^[\t ]*(?:\[\[?[\t ]*["']?registry["']?[\t ]*[\].]|["']?registry["']?[\t ]*(?:\.|=[\t ]*[^\t "']))/m;
const HINT = 'see containers-registries.conf(5), or set `registries-conf = false` in the configuration of kit';

/**
 * The `[[registry]]` tables that podman and skopeo use (containers-registries.conf(5)): of the file that CONTAINERS_REGISTRIES_CONF
 * names, else the user's, else the system's, and of the drop-in files, of which a later one replaces a prefix of an earlier one.
 * @param root where `/etc` is
 * @throws KitError CONFIG_INVALID
 */
export async function readRegistriesConf(env: Environment, root = '/'): Promise<MirrorTable[]> {
  const system = join(root, 'etc', 'containers', 'registries.conf');
  const user = join(homeDirectory(env), '.config', 'containers', 'registries.conf');
  const chosen = env['CONTAINERS_REGISTRIES_CONF'];
  const isUsers = !chosen && (await exists(user));
  const main = chosen || (isUsers ? user : system);
  // the user's own file also sets aside the drop-in files of the system
  const folders = [...(isUsers ? [] : [`${system}.d`]), `${user}.d`];
  const files = [main, ...(await Promise.all(folders.map(dropIns))).flat()];
  const byPrefix = new Map<string, MirrorTable>();
  for (const file of files) {
    for (const table of await readTables(file, file === chosen)) byPrefix.set(table.prefix, table);
  }
  return [...byPrefix.values()];
}

async function exists(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  );
}

async function dropIns(folder: string): Promise<string[]> {
  try {
    const names = await readdir(folder);
    return names
      .filter((name) => name.endsWith('.conf'))
      .toSorted()
      .map((name) => join(folder, name));
  } catch (cause) {
    if (isMissing(cause)) return [];
    throw new KitError('CONFIG_INVALID', `${folder}: the folder cannot be read`, { cause, hint: HINT });
  }
}

async function readTables(file: string, mustExist: boolean): Promise<MirrorTable[]> {
  const text = await readToml(file, mustExist);
  if (text === undefined || !SPEAKS_OF_REGISTRIES.test(text)) return [];
  const { parseRegistryTables } = await import('./registry-tables.ts');
  return parseRegistryTables(text, file, HINT);
}
