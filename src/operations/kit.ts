import { join, resolve } from 'node:path';
import { homeDirectory } from '../home-directory.ts';
import { KitError } from '../errors.ts';
import type { RegistryClient } from '../registry/client.ts';
import type { NetworkOptions } from '../registry/options.ts';
import type { Store } from '../targets/store.ts';

type Environment = Readonly<Record<string, string | undefined>>;

export interface KitOptions {
  /** Folder of the store and credentials. Default: KIT_HOME, KITOPS_HOME, then the platform's data folder. */
  readonly home?: string;
  readonly network?: Omit<NetworkOptions, 'env' | 'home'>;
  /** Blobs moved at a time. Default 5. */
  readonly concurrency?: number;
  readonly env?: Environment;
}

/** What every operation works with: made once, passed to each. */
export interface Kit {
  readonly home: string;
  readonly env: Environment;
  readonly concurrency: number;
  /** How to reach registries, the configuration included. @throws KitError CONFIG_INVALID */
  network(): Promise<NetworkOptions>;
  // the code of both is loaded when first asked for: not every command needs it
  registry(): Promise<RegistryClient>;
  store(): Promise<Store>;
  /** Closes connections, so that the process can end. */
  close(): Promise<void>;
}

export function createKit(options: KitOptions = {}): Kit {
  const env = options.env ?? process.env;
  const home = resolve(options.home ?? defaultHome(env));
  const concurrency = options.concurrency ?? 5;
  if (!Number.isInteger(concurrency) || concurrency < 1)
    throw new KitError('USAGE', `invalid argument for concurrency (${concurrency}): must be at least 1`);
  let store: Promise<Store> | undefined;
  let registry: Promise<RegistryClient> | undefined;
  let network: Promise<NetworkOptions> | undefined;
  const configured = (): Promise<NetworkOptions> =>
    (network ??= import('./configuration.ts').then(
      async ({ configuredNetwork }) => await configuredNetwork({ ...options.network, env, home }),
    ));
  return {
    home,
    env,
    concurrency,
    network: configured,
    registry: () =>
      (registry ??= Promise.all([import('../registry/client.ts'), configured()]).then(([client, ready]) =>
        client.createRegistryClient(ready),
      )),
    store: () => (store ??= import('../targets/store.ts').then(async ({ openStore }) => await openStore(home))),
    close: async () => {
      // one that could not be made has been told about by whoever asked for it
      await (await registry?.catch(() => undefined))?.close();
    },
  };
}

/** Where KitOps' kit keeps its data, so that both see the same ModelKits. */
export function defaultHome(env: Environment, platform: NodeJS.Platform = process.platform): string {
  const chosen = env['KIT_HOME'] || env['KITOPS_HOME'];
  if (chosen) return chosen;
  if (platform === 'win32') return join(env['LOCALAPPDATA'] || join(homeDirectory(env), 'AppData', 'Local'), 'kitops');
  if (platform === 'darwin') return join(homeDirectory(env), 'Library', 'Caches', 'kitops');
  return join(env['XDG_DATA_HOME'] || join(homeDirectory(env), '.local', 'share'), 'kitops');
}
