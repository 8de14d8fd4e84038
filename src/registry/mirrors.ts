import { KitError } from '../errors.ts';
import { isDockerHub } from './credential.ts';
import { repositoryPath } from './endpoint.ts';

/** A registry that keeps copies of another one's content. */
export interface Mirror {
  /** `HOST[:PORT][/NAMESPACE...]`: takes the place of the prefix in a name. */
  readonly location: string;
  /** https with any certificate, else http. */
  readonly insecure?: boolean | undefined;
  /** For names by tag, by digest, or both (unless told). */
  readonly pullFromMirror?: 'all' | 'digest-only' | 'tag-only' | undefined;
  /** Sent with each request to it, such as `X-Dragonfly-Registry`. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** The registry whose credentials it is given; its own unless told. */
  readonly credentials?: string | undefined;
}

/** Where names that begin with `prefix` are read: a `[[registry]]` of containers-registries.conf(5). */
export interface MirrorTable {
  /** `HOST[:PORT][/NAMESPACE...][:TAG|@DIGEST]`, or `*.DOMAIN`. */
  readonly prefix: string;
  /** Stands for the prefix at the registry itself; the prefix unless told. */
  readonly location?: string | undefined;
  readonly insecure?: boolean | undefined;
  /** Reading is forbidden. */
  readonly blocked?: boolean | undefined;
  readonly mirrors: readonly Mirror[];
  /** The file that says so. */
  readonly file: string;
}

/** One place to read a repository from. */
export interface PullSource {
  /** Undefined for the registry itself. */
  readonly mirror: Mirror | undefined;
  readonly registry: string;
  readonly repository: string;
  readonly insecure: boolean;
}

/**
 * Where to read `registry/repository`, in order: the mirrors of the longest prefix that matches, then the registry itself.
 * @param reference the tag or digest that the user asked for
 * @throws KitError DENIED where reading is forbidden
 */
export function pullSources(tables: readonly MirrorTable[], registry: string, repository: string, reference: string): PullSource[] {
  const isDigest = reference.includes(':');
  const name = `${isDockerHub(registry) ? 'docker.io' : registry}/${repositoryPath(registry, repository)}`;
  const full = `${name}${isDigest ? '@' : ':'}${reference}`;
  const [table, length] = longestMatch(tables, full);
  if (table === undefined) return [{ mirror: undefined, registry, repository, insecure: false }];
  if (table.blocked === true) {
    throw new KitError('DENIED', `${full}: reading it is forbidden by ${table.file}`, {
      hint: `the entry for \`${table.prefix}\` says \`blocked = true\``,
    });
  }
  const rest = full.slice(length, name.length);
  const at = (mirror: Mirror | undefined, location: string, insecure = false): PullSource => {
    // a prefix that names a tag has a location that does
    const path = length > name.length ? location.replace(/(?<=\/[^:@]*)[:@].*$/, '') : `${location}${rest}`;
    const cut = path.indexOf('/');
    if (cut < 1) {
      throw new KitError('CONFIG_INVALID', `${table.file}: \`${location}\` names no repository for ${name}`, {
        hint: `the prefix \`${table.prefix}\` is a whole repository: so must be its location`,
      });
    }
    return { mirror, registry: path.slice(0, cut), repository: path.slice(cut + 1), insecure };
  };
  const own = table.location === undefined ? { mirror: undefined, registry, repository, insecure: table.insecure === true } : undefined;
  const mirrors = table.mirrors.filter(
    ({ pullFromMirror = 'all' }) => pullFromMirror === 'all' || (pullFromMirror === 'digest-only') === isDigest,
  );
  return [
    ...mirrors.map((mirror) => at(mirror, mirror.location, mirror.insecure)),
    own ?? at(undefined, table.location ?? '', table.insecure),
  ];
}

function longestMatch(tables: readonly MirrorTable[], name: string): [MirrorTable | undefined, number] {
  let best: [MirrorTable | undefined, number] = [undefined, -1];
  for (const table of tables) {
    const length = matchLength(table.prefix, name);
    // of equal ones the first counts
    if (length !== -1 && table.prefix.length > (best[0]?.prefix.length ?? -1)) best = [table, length];
  }
  return best;
}

/** How much of `name` the prefix stands for; -1 where it does not match. */
function matchLength(prefix: string, name: string): number {
  const host = name.slice(0, name.indexOf('/'));
  if (prefix.startsWith('*.')) {
    const [bare = ''] = host.split(':', 1);
    // the port stays: a wildcard knows none
    return bare.endsWith(prefix.slice(1)) && bare.length >= prefix.length ? bare.length : -1;
  }
  if (!name.startsWith(prefix)) return -1;
  const next = name[prefix.length];
  return next === undefined || next === '/' || (prefix.includes('/') && (next === ':' || next === '@')) ? prefix.length : -1;
}
