import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod';
import { homeDirectory } from '../home-directory.ts';
import { KitError } from '../errors.ts';
import type { MirrorTable } from './mirrors.ts';
import { isMissing, parseToml, readToml } from './toml-file.ts';

type Environment = Readonly<Record<string, string | undefined>>;

const location = z
  .string()
  .refine((text) => !/^https?:\/\//.test(text), 'is HOST[:PORT][/PATH], without a scheme')
  .transform((text) => text.replace(/\/+$/, ''));
const mirror = z.looseObject({
  location: location.refine((text) => text !== '', 'must not be empty'),
  insecure: z.boolean().optional(),
  'pull-from-mirror': z.enum(['all', 'digest-only', 'tag-only', '']).optional(),
});
const registry = z.looseObject({
  prefix: location.optional(),
  location: location.optional(),
  insecure: z.boolean().optional(),
  blocked: z.boolean().optional(),
  'mirror-by-digest-only': z.boolean().optional(),
  mirror: z.array(mirror).optional(),
});
/** What else the files hold is for other programs: short names, credential helpers. */
const registriesConf = z.looseObject({ registry: z.array(registry).optional() });

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
  if (text === undefined) return [];
  const result = registriesConf.safeParse(parseToml(text, file, HINT));
  if (!result.success) throw invalid(file, result.error.issues[0]);
  const tables = (result.data.registry ?? []).map((entry) => mirrorTable(entry, file));
  // of equal prefixes in one file the first counts
  return tables.filter((table, index) => tables.findIndex(({ prefix }) => prefix === table.prefix) === index);
}

function mirrorTable(entry: z.infer<typeof registry>, file: string): MirrorTable {
  const { insecure, blocked, mirror: mirrors = [] } = entry;
  const prefix = entry.prefix || entry.location;
  const byDigest = entry['mirror-by-digest-only'] === true;
  const refuse = (why: string) => new KitError('CONFIG_INVALID', `${file}: ${why}`, { hint: HINT });
  if (!prefix) throw refuse('a [[registry]] has neither prefix nor location');
  if (prefix.includes('*') && !/^\*\.[^*/:@]+$/.test(prefix)) throw refuse(`prefix \`${prefix}\`: a wildcard is written *.DOMAIN`);
  if (!entry.location && !prefix.startsWith('*.')) throw refuse(`[[registry]] \`${prefix}\` has no location`);
  return {
    prefix,
    location: entry.location || undefined,
    insecure,
    blocked,
    file,
    mirrors: mirrors.map((one) => {
      const pullFromMirror = one['pull-from-mirror'] || undefined;
      if (byDigest && pullFromMirror !== undefined)
        throw refuse(`[[registry]] \`${prefix}\` sets mirror-by-digest-only, and a mirror of it pull-from-mirror`);
      return { location: one.location, insecure: one.insecure, pullFromMirror: byDigest ? 'digest-only' : pullFromMirror };
    }),
  };
}

function invalid(file: string, issue: z.core.$ZodIssue | undefined): KitError {
  return new KitError('CONFIG_INVALID', `${file}: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'not valid'}`, { hint: HINT });
}
