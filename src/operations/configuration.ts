import { dirname, join, resolve } from 'node:path';
import * as z from 'zod';
import { homeDirectory } from '../home-directory.ts';
import { KitError } from '../errors.ts';
import { nearestName } from '../kitfile/nearest-name.ts';
import { globToRegExp } from '../policy/pattern.ts';
import type { MirrorTable } from '../registry/mirrors.ts';
import type { NetworkOptions } from '../registry/options.ts';
import { readRegistriesConf } from '../registry/registries-conf.ts';
import type { RegistrySettings } from '../registry/settings.ts';
import { parseToml, readToml } from '../registry/toml-file.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** A policy of the configuration. */
export interface ConfiguredPolicy {
  readonly file: string;
  /** Of repositories: see `matchesRepository`. */
  readonly repositories: readonly string[];
  readonly mode: 'enforce' | 'warn' | undefined;
  /** The configuration that names it. */
  readonly from: string;
}

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

export interface Configuration {
  readonly registries: readonly RegistrySettings[];
  readonly mirrors: readonly MirrorTable[];
  /** Environment variables as the configuration would have them; real ones come first. */
  readonly env: Environment;
}

/**
 * What is configured: the file that KIT_CONFIG names, else `<home>/config.toml`, and the registries.conf of podman and skopeo. The keys
 * are described in docs/configuration.md.
 * @throws KitError CONFIG_INVALID with the file, and line and column where the file is no TOML
 */
export async function readConfiguration(home: string, env: Environment): Promise<Configuration> {
  const { own, file } = await readOwn(home, env);
  const shared = own['registries-conf'] === false ? [] : await readRegistriesConf(env);
  const entries = Object.entries(own.registry ?? {});
  return {
    registries: [
      ...entries.filter(([host]) => !host.includes('/')).map(([host, settings]) => registrySettings(host, settings, file)),
      ...insecureHosts(shared),
    ],
    // of equal prefixes the first counts
    mirrors: [...entries.flatMap(([prefix, { mirror: mirrors }]) => mirrorTable(prefix, mirrors, file)), ...shared],
    env: proxyVariables(own, env),
  };
}

/** The policies that it names: see docs/policy.md. @throws KitError CONFIG_INVALID */
export async function readPolicies(home: string, env: Environment): Promise<readonly ConfiguredPolicy[]> {
  const { own, file: from } = await readOwn(home, env);
  return (own.policy ?? []).map(({ file, repositories, mode }) => ({ file: pathIn(from, file), repositories, mode, from }));
}

async function readOwn(home: string, env: Environment): Promise<{ readonly own: z.infer<typeof configuration>; readonly file: string }> {
  const chosen = env['KIT_CONFIG'];
  const file = resolve(chosen || join(home, 'config.toml'));
  const text = await readToml(file, Boolean(chosen));
  return { own: text === undefined ? {} : check(parseToml(text, file), file), file };
}

function isPattern(text: string): boolean {
  try {
    return globToRegExp(text) instanceof RegExp;
  } catch {
    return false;
  }
}

/** What `network` says, with the configuration below it. */
export async function configuredNetwork(network: NetworkOptions): Promise<NetworkOptions> {
  const { env = {}, home } = network;
  if (home === undefined) return network;
  const { registries, mirrors, env: variables } = await readConfiguration(home, env);
  return {
    ...network,
    registries: [...(network.registries ?? []), ...registries],
    mirrors: [...(network.mirrors ?? []), ...mirrors],
    env: { ...variables, ...env },
  };
}

function check(value: unknown, file: string): z.infer<typeof configuration> {
  const result = configuration.safeParse(value);
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

function registrySettings(host: string, given: z.infer<typeof registry>, file: string): RegistrySettings {
  const path = (name: string | undefined): string | undefined => (name === undefined ? undefined : pathIn(file, name));
  const { 'chunk-size': chunkSize, 'tls-cert': caFiles } = given;
  return {
    host,
    plainHttp: given['plain-http'],
    tlsVerify: given['tls-verify'],
    caFiles: caFiles?.map((name) => pathIn(file, name)),
    clientCert: path(given.cert),
    clientKey: path(given.key),
    proxy: given.proxy,
    chunkSize: chunkSize === 'none' ? 'never' : chunkSize,
    maxLayerBytes: given['max-layer'],
    referrers: given.referrers,
    deletion: given.deletion,
  };
}

/** Paths are relative to the configuration that names them. */
function pathIn(file: string, name: string): string {
  return resolve(
    dirname(file),
    name.replace(/^~(?=\/)/, () => homeDirectory(process.env)),
  );
}

function mirrorTable(prefix: string, mirrors: z.infer<typeof mirror>[] | undefined, file: string): MirrorTable[] {
  if (mirrors === undefined) return [];
  return [
    {
      prefix,
      file,
      mirrors: mirrors.map((one) => ({
        location: one.location,
        pullFromMirror: one['pull-from-mirror'],
        credentials: one.credentials,
        headers: one.headers,
      })),
    },
  ];
}

/** `insecure` of registries.conf: any certificate will do. */
function insecureHosts(tables: readonly MirrorTable[]): RegistrySettings[] {
  const all = tables.flatMap((table) => [{ location: table.location ?? table.prefix, insecure: table.insecure }, ...table.mirrors]);
  const hosts = new Set(all.filter(({ insecure }) => insecure === true).map((entry) => entry.location.split('/', 1)[0] ?? ''));
  return [...hosts].map((host) => ({ host, tlsVerify: false }));
}

function proxyVariables(own: z.infer<typeof configuration>, env: Environment): Environment {
  const wanted = { HTTP_PROXY: own.proxy, HTTPS_PROXY: own.proxy, NO_PROXY: own['no-proxy'] };
  // both spellings count, and an empty one says "none"
  const isSet = (name: string): boolean => env[name] !== undefined || env[name.toLowerCase()] !== undefined;
  return Object.fromEntries(Object.entries(wanted).filter(([name, value]) => value !== undefined && value !== 'none' && !isSet(name)));
}

function toBytes(text: string): number | undefined {
  const [, digits, unit = ''] = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text.trim()) ?? [];
  const factor = BYTES[unit.toLowerCase()];
  return digits === undefined || factor === undefined ? undefined : Math.floor(Number(digits) * factor);
}
