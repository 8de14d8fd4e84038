import * as z from 'zod';
import { KitError } from '../errors.ts';
import type { MirrorTable } from './mirrors.ts';
import { parseToml } from './parse-toml.ts';

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

/** The `[[registry]]` tables of one file. @throws KitError CONFIG_INVALID with `hint` */
export function parseRegistryTables(text: string, file: string, hint: string): MirrorTable[] {
  const result = registriesConf.safeParse(parseToml(text, file, hint));
  if (!result.success) throw invalid(file, result.error.issues[0], hint);
  const tables = (result.data.registry ?? []).map((entry) => mirrorTable(entry, file, hint));
  // of equal prefixes in one file the first counts
  return tables.filter((table, index) => tables.findIndex(({ prefix }) => prefix === table.prefix) === index);
}

function mirrorTable(entry: z.infer<typeof registry>, file: string, hint: string): MirrorTable {
  const { insecure, blocked, mirror: mirrors = [] } = entry;
  const prefix = entry.prefix || entry.location;
  const byDigest = entry['mirror-by-digest-only'] === true;
  const refuse = (why: string) => new KitError('CONFIG_INVALID', `${file}: ${why}`, { hint });
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

function invalid(file: string, issue: z.core.$ZodIssue | undefined, hint: string): KitError {
  return new KitError('CONFIG_INVALID', `${file}: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'not valid'}`, { hint });
}
