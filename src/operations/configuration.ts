import { dirname, join, resolve } from 'node:path';
import { homeDirectory } from '../home-directory.ts';
import type { MirrorTable } from '../registry/mirrors.ts';
import type { NetworkOptions } from '../registry/options.ts';
import { readRegistriesConf } from '../registry/registries-conf.ts';
import type { RegistrySettings } from '../registry/settings.ts';
import { readToml } from '../registry/toml-file.ts';
import type { ConfigurationFile, MirrorSettings, RegistryTable } from './configuration-file.ts';

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

async function readOwn(home: string, env: Environment): Promise<{ readonly own: ConfigurationFile; readonly file: string }> {
  const chosen = env['KIT_CONFIG'];
  const file = resolve(chosen || join(home, 'config.toml'));
  const text = await readToml(file, Boolean(chosen));
  if (text === undefined) return { own: {}, file };
  // most have none: it takes a tenth of a start to be able to judge one
  const { parseConfiguration } = await import('./configuration-file.ts');
  return { own: parseConfiguration(text, file), file };
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

function registrySettings(host: string, given: RegistryTable, file: string): RegistrySettings {
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

function mirrorTable(prefix: string, mirrors: readonly MirrorSettings[] | undefined, file: string): MirrorTable[] {
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

function proxyVariables(own: ConfigurationFile, env: Environment): Environment {
  const wanted = { HTTP_PROXY: own.proxy, HTTPS_PROXY: own.proxy, NO_PROXY: own['no-proxy'] };
  // both spellings count, and an empty one says "none"
  const isSet = (name: string): boolean => env[name] !== undefined || env[name.toLowerCase()] !== undefined;
  return Object.fromEntries(Object.entries(wanted).filter(([name, value]) => value !== undefined && value !== 'none' && !isSet(name)));
}
