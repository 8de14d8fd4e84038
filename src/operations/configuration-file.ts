import * as z from 'zod';
import { KitError } from '../errors.ts';
import { nearestName } from '../kitfile/nearest-name.ts';
import { globToRegExp } from '../policy/pattern.ts';
import { parseToml } from '../registry/parse-toml.ts';

const BYTES: Readonly<Record<string, number>> = {
  '': 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
};

const size = z.unknown().transform((value, context) => {
  if (value === 'none') return value;
  const bytes = typeof value === 'string' ? toBytes(value) : value;
  if (typeof bytes === 'number' && bytes >= 1 && Number.isSafeInteger(bytes)) return bytes;
  context.addIssue({ code: 'custom', message: 'must be a size such as 64MiB or 10GB, or none' });
  return z.NEVER;
});
const proxy = z
  .string()
  .refine((value) => value === 'none' || /^https?:\/\/[^/]/.test(value), 'must be http://HOST:PORT, https://HOST:PORT or none');
const location = z
  .string()
  .regex(/^[^/\s]+(?:\/[^\s/]+)*\/?$/, 'must be HOST[:PORT][/NAMESPACE...], without a scheme')
  .transform((value) => value.replace(/\/$/, ''));

const mirror = z.strictObject({
  location,
  'pull-from-mirror': z.enum(['all', 'digest-only', 'tag-only']).optional(),
  credentials: z.string().optional(),
  headers: z
    .record(z.string().regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/, 'is no name of a header'), z.string().regex(/^[\t\u0020-\u007e]*$/))
    .optional(),
});
const registry = z.strictObject({
  'plain-http': z.boolean().optional(),
  'tls-verify': z.boolean().optional(),
  'tls-cert': z.union([z.string().transform((file) => [file]), z.array(z.string())]).optional(),
  cert: z.string().optional(),
  key: z.string().optional(),
  proxy: proxy.optional(),
  'chunk-size': size.optional(),
  'max-layer': size.optional(),
  referrers: z.enum(['api', 'tag']).optional(),
  deletion: z.boolean().optional(),
  mirror: z.array(mirror).optional(),
});
const pattern = z.string().refine(isPattern, 'is no pattern: write REGISTRY/NAMESPACE/** or the like');
const policy = z.strictObject({
  file: z.string(),
  repositories: z.preprocess((value) => (typeof value === 'string' ? [value] : value), z.array(pattern).min(1)).default(['**']),
  mode: z.enum(['enforce', 'warn']).optional(),
});
const configuration = z.strictObject({
  policy: z.array(policy).optional(),
  proxy: proxy.optional(),
  'no-proxy': z.string().optional(),
  'registries-conf': z.boolean().optional(),
  registry: z
    .record(z.string().regex(/^(?:\*\.)?[^\s*/]+(?:\/[^\s*/]+)*$/, 'must be HOST[:PORT], HOST[:PORT]/NAMESPACE or *.DOMAIN'), registry)
    .optional(),
});
/** What can be said of a part of a registry. */
const OF_NAMESPACES: ReadonlySet<string> = new Set(['mirror']);

/** What config.toml says. */
export type ConfigurationFile = z.infer<typeof configuration>;
export type RegistryTable = z.infer<typeof registry>;
export type MirrorSettings = z.infer<typeof mirror>;

/** The keys are described in docs/configuration.md. @throws KitError CONFIG_INVALID, with line and column where `text` is no TOML */
export function parseConfiguration(text: string, file: string): ConfigurationFile {
  const result = configuration.safeParse(parseToml(text, file));
  if (!result.success) throw invalid(result.error.issues[0] as z.core.$ZodIssue, file);
  for (const [name, settings] of Object.entries(result.data.registry ?? {})) {
    const misplaced = name.includes('/') ? Object.keys(settings).find((key) => !OF_NAMESPACES.has(key)) : undefined;
    if (misplaced !== undefined)
      throw new KitError('CONFIG_INVALID', `${file}: registry."${name}".${misplaced}: is a setting of a whole registry`, {
        hint: `put it under [registry."${name.slice(0, name.indexOf('/'))}"]`,
      });
    if ((settings.cert === undefined) !== (settings.key === undefined))
      throw new KitError('CONFIG_INVALID', `${file}: registry."${name}": a client certificate needs both cert and key`);
  }
  return result.data;
}

function invalid(issue: z.core.$ZodIssue, file: string): KitError {
  const at = issue.path.map((part) => (/^[\w-]+$/.test(String(part)) ? String(part) : JSON.stringify(part))).join('.');
  const where = at === '' ? '' : `${at}: `;
  // of several forms the last one is told, of a key what is wrong with it
  const inner = issue.code === 'invalid_union' ? issue.errors.at(-1)?.[0] : issue.code === 'invalid_key' ? issue.issues[0] : undefined;
  if (issue.code !== 'unrecognized_keys') {
    const hint = issue.path[0] === 'policy' ? 'docs/policy.md shows a [[policy]]' : 'docs/configuration.md describes every setting';
    return new KitError('CONFIG_INVALID', `${file}: ${where}${(inner ?? issue).message}`, { hint });
  }
  const key = issue.keys[0] ?? '';
  const known = keysAt(issue.path);
  const meant = nearestName(key, known);
  return new KitError('CONFIG_INVALID', `${file}: ${where}unknown key \`${key}\``, {
    hint: meant === undefined ? `known are ${known.join(', ')}` : `did you mean \`${meant}\`?`,
  });
}

function keysAt(path: readonly PropertyKey[]): string[] {
  if (path[0] === 'policy') return Object.keys(policy.shape);
  if (path.includes('mirror')) return Object.keys(mirror.shape);
  return Object.keys(path.length > 0 ? registry.shape : configuration.shape);
}

function isPattern(text: string): boolean {
  try {
    return globToRegExp(text) instanceof RegExp;
  } catch {
    return false;
  }
}

function toBytes(text: string): number | undefined {
  const [, digits, unit = ''] = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text.trim()) ?? [];
  const factor = BYTES[unit.toLowerCase()];
  return digits === undefined || factor === undefined ? undefined : Math.floor(Number(digits) * factor);
}
