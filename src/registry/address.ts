import { BlockList, isIP } from 'node:net';

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet('127.0.0.0', 8, 'ipv4');
LOOPBACK.addAddress('::1', 'ipv6');

const PRIVATE = new BlockList();
for (const [network, prefix] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
] as const) {
  PRIVATE.addSubnet(network, prefix, 'ipv4');
}
for (const [network, prefix] of [
  ['::', 127],
  ['fc00::', 7],
  ['fe80::', 10],
] as const) {
  PRIVATE.addSubnet(network, prefix, 'ipv6');
}

/** `hostname` as in URL.hostname: IPv6 in brackets. */
export function isLoopbackHost(hostname: string): boolean {
  return isLocalName(hostname) || isListed(LOOPBACK, hostname);
}

/** True for local names and literal addresses that only a private network routes. Names are not resolved. */
export function isPrivateHost(hostname: string): boolean {
  return isLocalName(hostname) || isListed(PRIVATE, hostname);
}

function isLocalName(hostname: string): boolean {
  return /^(?:.*\.)?localhost\.?$/i.test(hostname);
}

function isListed(list: BlockList, hostname: string): boolean {
  const address = literalHost({ hostname });
  const family = isIP(address);
  // BlockList looks through IPv4-mapped IPv6 addresses by itself
  return family !== 0 && list.check(address, family === 4 ? 'ipv4' : 'ipv6');
}

/** The host without the brackets that an IPv6 address has in a URL. */
export function literalHost({ hostname }: Pick<URL, 'hostname'>): string {
  return hostname.replace(/^\[(.*)\]$/, '$1');
}
