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
 * True when the pattern names the file, whatever the case: a model that a loader on some system would find must not slip through. As in
 * .gitignore, a pattern without a slash applies to names at any depth, and one that names a folder to all below it.
 */
export function matchesFile(pattern: string, path: string): boolean {
  const clean = pattern.replace(/^\.?\/+/, '').replace(/\/+$/, '/**');
  const glob = globToRegExp(pattern.includes('/') ? clean : `**/${clean}`, 'iu');
  return glob.test(path) || globToRegExp(`${pattern.includes('/') ? clean : `**/${clean}`}/**`, 'iu').test(path);
}

const DOCKER_HUB = new Set(['index.docker.io', 'registry-1.docker.io', 'registry.hub.docker.com']);

/** One spelling for each place: `registry/repository`, the host in lower case, without the port of https, Docker Hub under one name. */
export function canonicalName(registry: string | undefined, repository: string): string {
  if (registry === undefined) return repository;
  const host = registry.toLowerCase().replace(/:443$/, '');
  if (host !== 'docker.io' && !DOCKER_HUB.has(host)) return `${host}/${repository}`;
  return `docker.io/${repository.includes('/') ? repository : `library/${repository}`}`;
}

/** Patterns of repositories are like those of paths: `ghcr.io/team/*` is one level, `ghcr.io/team/**` is all below. `name` is canonical. */
export function matchesRepository(pattern: string, name: string): boolean {
  return globToRegExp(canonicalPattern(pattern), 'iu').test(name);
}

/** A host that is written in another way than that of names would match nothing, and so leave out what it is for. */
function canonicalPattern(pattern: string): string {
  const [, host, rest = ''] = /^([^/*?{[]+)\/(.*)$/su.exec(pattern) ?? [];
  if (host === undefined) return pattern;
  const name = canonicalName(host, rest);
  // `docker.io/*` is no name in `library`
  return /[*?{[]/.test(rest) ? `${name.slice(0, name.indexOf('/'))}/${rest}` : name;
}
