import { BlockList, isIP } from 'node:net';
import { KitError } from '../errors.ts';
import { isLoopbackHost, literalHost } from './address.ts';
import type { NetworkOptions } from './options.ts';
import { settingsForUrl } from './settings.ts';

/**
 * The proxy for `url`, or undefined to go straight there: what the command line says, then what is configured for the host, then the
 * environment. Its rules are those of Go's `ProxyFromEnvironment`, which the
 * field's tools share: loopback hosts are never proxied, NO_PROXY takes names, `.suffix`, `*`, addresses, CIDR and ports.
 * @throws KitError CONFIG_INVALID when the proxy is not an http(s) URL
 */
export function proxyFor(url: URL, options: Pick<NetworkOptions, 'proxy' | 'env' | 'registries'>): URL | undefined {
  if (options.proxy !== undefined && options.proxy !== '') return parseProxy(options.proxy, '--proxy');
  const configured = settingsForUrl(options.registries, url);
  if (configured?.proxy === 'none') return undefined;
  if (configured?.proxy !== undefined) return parseProxy(configured.proxy, `the proxy of \`${configured.host}\` in the configuration`);
  const { env = {} } = options;
  const name = url.protocol === 'https:' ? 'HTTPS_PROXY' : 'HTTP_PROXY';
  const value = env[name] || env[name.toLowerCase()];
  if (!value || isLoopbackHost(url.hostname) || isExcluded(url, (env['NO_PROXY'] || env['no_proxy']) ?? '')) return undefined;
  return parseProxy(value, name);
}

function parseProxy(value: string, source: string): URL {
  const url = URL.parse(/^[a-z][a-z0-9+.-]*:\/\//i.test(value) ? value : `http://${value}`);
  if (url !== null && (url.protocol === 'http:' || url.protocol === 'https:')) return url;
  // the value itself may hold a password
  throw new KitError('CONFIG_INVALID', `${source} is not the http or https URL of a proxy`, { hint: 'write http://HOST:PORT' });
}

function isExcluded(url: URL, noProxy: string): boolean {
  const host = literalHost(url).replace(/\.$/, '');
  const port = url.port || (url.protocol === 'https:' ? '443' : '80');
  return noProxy
    .split(/[\s,]+/)
    .filter((entry) => entry !== '')
    .some((entry) => matches(entry.toLowerCase(), host, port));
}

function matches(entry: string, host: string, port: string): boolean {
  if (entry === '*') return true;
  if (entry.includes('/')) return isInSubnet(entry, host);
  const [, bracketed, plain, entryPort] = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d+))?$/.exec(entry) ?? [];
  // a bare IPv6 address has colons but no port
  const name = bracketed ?? plain ?? entry;
  if (entryPort !== undefined && entryPort !== port) return false;
  if (name.startsWith('.') || name.startsWith('*.')) return host.endsWith(name.replace(/^\*/, ''));
  return host === name || host.endsWith(`.${name}`);
}

function isInSubnet(entry: string, host: string): boolean {
  const [network = '', prefix = ''] = entry.split('/');
  const family = isIP(network);
  if (family === 0 || family !== isIP(host) || !/^\d{1,3}$/.test(prefix) || Number(prefix) > (family === 4 ? 32 : 128)) return false;
  const type = family === 4 ? 'ipv4' : 'ipv6';
  const list = new BlockList();
  list.addSubnet(network, Number(prefix), type);
  return list.check(host, type);
}
