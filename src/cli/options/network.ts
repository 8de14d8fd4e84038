import type { Command } from 'commander';
import { KitError } from '../../errors.ts';
import type { KitOptions } from '../../operations/kit.ts';
import type { GlobalFlags } from './global.ts';

export interface KitFlags {
  readonly plainHttp?: boolean;
  readonly tlsVerify?: boolean;
  readonly tlsCert?: readonly string[];
  readonly cert?: string;
  readonly key?: string;
  readonly concurrency?: string;
  readonly proxy?: string;
}

/** How to reach a registry: for every command that may talk to one. */
export function addNetworkOptions(command: Command): Command {
  return command
    .option('--plain-http', 'use http instead of https (the default for localhost, unless a TLS option is given)')
    .option('--no-plain-http', 'use https, for localhost too')
    .option('--tls-verify', 'check the certificate of the registry (the default)')
    .option('--no-tls-verify', 'accept any certificate')
    .option('--tls-cert <file>', "PEM file with a certificate authority to trust besides the system's (repeatable)", collect)
    .option('--cert <file>', 'PEM file with a client certificate')
    .option('--key <file>', 'PEM file with the key of the client certificate')
    .option('--concurrency <count>', 'how many blobs to move at a time', '5')
    .option('--proxy <url>', 'proxy for all requests (default: config.toml of kit, $HTTPS_PROXY, $HTTP_PROXY, $NO_PROXY)');
}

export function collect(value: string, values: readonly string[] = []): string[] {
  return [...values, value];
}

/** @throws KitError USAGE */
export function kitOptions(globals: GlobalFlags, flags: KitFlags, env: NodeJS.ProcessEnv): KitOptions {
  const clientCert = env['KITOPS_CLIENT_CERT'] || flags.cert;
  const clientKey = env['KITOPS_CLIENT_KEY'] || flags.key;
  if ((clientCert === undefined) !== (clientKey === undefined))
    throw new KitError('USAGE', 'a client certificate needs both --cert and --key');
  const asksForTls = flags.tlsVerify === false || flags.tlsCert !== undefined || clientCert !== undefined;
  return {
    env,
    ...(globals.config !== undefined && { home: globals.config }),
    ...(flags.concurrency !== undefined && { concurrency: readConcurrency(flags.concurrency) }),
    network: {
      plainHttp: flags.plainHttp ?? (asksForTls ? false : undefined),
      tlsVerify: flags.tlsVerify,
      caFiles: flags.tlsCert,
      clientCert,
      clientKey,
      proxy: flags.proxy,
    },
  };
}

function readConcurrency(text: string): number {
  const count = Number(text);
  if (Number.isInteger(count) && count >= 1 && count <= 256) return count;
  throw new KitError('USAGE', `invalid argument for concurrency (${text}): must be at least 1`, { hint: 'the default is 5' });
}
