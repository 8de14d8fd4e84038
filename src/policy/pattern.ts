/** A glob as a regular expression for all of a text: `*` and `?` stop at a slash, `**` does not, `{a,b}` and `[a-z]` choose. */
export function globToRegExp(pattern: string, flags = 'u'): RegExp {
  let source = '';
  let depth = 0;
  for (let at = 0; at < pattern.length; at += 1) {
    const char = pattern[at] ?? '';
    if (pattern.startsWith('**/', at) && (at === 0 || pattern[at - 1] === '/')) {
      source += '(?:.*/)?';
      at += 2;
    } else if (pattern.startsWith('**', at)) {
      source += '.*';
      at += 1;
    } else if (char === '*') source += '[^/]*';
    else if (char === '?') source += '[^/]';
    else if (char === '{') {
      source += '(?:';
      depth += 1;
    } else if (char === '}' && depth > 0) {
      source += ')';
      depth -= 1;
    } else if (char === ',' && depth > 0) source += '|';
    else if (char === '[') {
      const end = pattern.indexOf(']', at + 2);
      if (end === -1) throw new SyntaxError('it has a `[` without a `]`');
      const body = pattern.slice(at + 1, end).replaceAll(/[\\[\]^]/g, String.raw`\$&`);
      source += pattern[at + 1] === '!' ? `[^/${body.slice(1)}]` : `[${body}]`;
      at = end;
    } else source += char.replace(/[\\^$.|+()[\]{}/]/, String.raw`\$&`);
  }
  if (depth > 0) throw new SyntaxError('it has a `{` without a `}`');
  return new RegExp(`^${source}$`, `s${flags}`);
}

/**
 * Says whether the pattern names a file, whatever the case: a model that a loader on some system would find must not slip through. As in
 * .gitignore, a pattern without a slash applies to names at any depth, and one that names a folder to all below it.
 */
export function fileMatcher(pattern: string): (path: string) => boolean {
  const clean = pattern.replace(/^\.?\/+/, '').replace(/\/+$/, '/**');
  const glob = pattern.includes('/') ? clean : `**/${clean}`;
  const [itself, below] = [globToRegExp(glob, 'iu'), globToRegExp(`${glob}/**`, 'iu')];
  return (path) => itself.test(path) || below.test(path);
}

const DOCKER_HUB = new Set(['index.docker.io', 'registry-1.docker.io', 'registry.hub.docker.com']);

/** One spelling for each place: `registry/repository`, the host as it is asked (in lower case, without the port of https), Docker Hub under one name. */
export function canonicalName(registry: string | undefined, repository: string): string {
  if (registry === undefined) return repository;
  const host = canonicalHost(registry);
  if (host !== 'docker.io' && !DOCKER_HUB.has(host)) return `${host}/${repository}`;
  return `docker.io/${repository.includes('/') ? repository : `library/${repository}`}`;
}

/** `ghcr.io:0443` is ghcr.io to whoever connects, and `127.1` is 127.0.0.1. */
function canonicalHost(registry: string): string {
  return URL.parse(`https://${registry}`)?.host ?? registry.toLowerCase();
}

/** Patterns of repositories are like those of paths: `ghcr.io/team/*` is one level, `ghcr.io/team/**` is all below. `name` is canonical. */
export function matchesRepository(pattern: string, name: string): boolean {
  return globToRegExp(canonicalPattern(pattern), 'iu').test(name);
}

/**
 * True also where another spelling may be the same place, for what restricts: port 80 is that of http, and local storage has one name with
 * and without `localhost/`.
 */
export function concernsRepository(pattern: string, name: string): boolean {
  return matchesRepository(pattern, name) || globToRegExp(loosely(canonicalPattern(pattern)), 'iu').test(loosely(name));
}

function loosely(name: string): string {
  return name.replace(/^([^/]*):0*80\//, '$1/').replace(/^localhost\//, '');
}

/** A host that is written in another way than that of names would match nothing, and so leave out what it is for. */
function canonicalPattern(pattern: string): string {
  const [, host, rest = ''] = /^(\[[\da-f]*:[\da-f:.]*\](?::\d+)?|[^/*?{[]+)\/(.*)$/isu.exec(pattern) ?? [];
  if (host === undefined) return pattern.replace(/^([^/]*):0*443\//, '$1/');
  // as in references, a first part without any of these is no host
  if (host !== 'localhost' && !/[.:[]/.test(host)) return pattern;
  const name = canonicalName(host, rest);
  // `docker.io/*` is no name in `library`
  const [place = ''] = name.split('/', 1);
  const canonical = /[*?{[]/.test(rest) ? `${place}/${rest}` : name;
  // the brackets of an IPv6 address choose nothing
  return host.startsWith('[') ? canonical.replace('[', '[[]') : canonical;
}
