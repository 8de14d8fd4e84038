import { posix } from 'node:path';
import { KitError } from '../../errors.ts';
import { isDigest } from '../../oci/digest.ts';
import { parseLocation, parseReference, repositoryName } from '../../oci/reference.ts';

/** What is looked at: repositories by name or pattern, in a registry, in local storage or in an image layout. */
export type QueryScope = (
  | { readonly type: 'registry'; readonly registry: string }
  | { readonly type: 'local' }
  | { readonly type: 'layout'; readonly path: string }
) & {
  /** As it was given. */
  readonly text: string;
  /** The one repository, with its registry; undefined for several. */
  readonly repository: string | undefined;
  /** Of whole names with the registry; undefined: all. */
  readonly pattern: string | undefined;
  /** Only these; all where empty. */
  readonly tags: readonly string[];
  readonly digest: string | undefined;
};

/** Everything in local storage. */
export const LOCAL_STORAGE: QueryScope = {
  type: 'local',
  text: 'local storage',
  repository: undefined,
  pattern: undefined,
  tags: [],
  digest: undefined,
};

// a port tells a host from a name with a tag: `model:5000` is one of local storage, `localhost:5000` and `reg.lan:5000` are registries
const REGISTRY = /^(?:localhost|\[[0-9a-f:]+\]|(?=[^:]*\.)[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?)(?::\d{1,5})?$/i;
const REGISTRY_SLASH = /^[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::\d{1,5})?\/$/i;
const PATTERN = /^[\w./:*?{},[\]-]{1,400}$/;

/**
 * `REGISTRY`, `REGISTRY/team/*`, `REGISTRY/REPOSITORY[:TAG][@DIGEST]`, the same without a registry for local storage, or `oci:DIR[:TAG]`.
 * `*` stands for a part of a name without `/`, `**` for any. @throws KitError REFERENCE_INVALID
 */
export function parseScope(text: string): QueryScope {
  const all = { text, repository: undefined, pattern: undefined, tags: [], digest: undefined } as const;
  if (REGISTRY.test(text) || REGISTRY_SLASH.test(text)) return { ...all, type: 'registry', registry: text.replace(/\/$/, '') };
  if (/[*?{]/.test(text)) return parsePattern(text);
  const location = parseLocation(text);
  if (location.type === 'archive') {
    throw new KitError('REFERENCE_INVALID', `${text}: an archive cannot be searched`, {
      hint: '`kit load` it, or use an image layout (oci:DIR)',
    });
  }
  if (location.type === 'layout') {
    const { path, reference } = location;
    const found = isDigest(reference) ? { digest: reference } : { tags: reference === undefined ? [] : [reference] };
    return { ...all, type: 'layout', path, repository: `oci:${path}`, ...found };
  }
  const { reference } = location;
  const { registry, tags, digest } = reference;
  const found = { ...all, repository: repositoryName(reference), tags, digest };
  return registry === undefined ? { ...found, type: 'local' } : { ...found, type: 'registry', registry };
}

function parsePattern(text: string): QueryScope {
  const slash = text.indexOf('/');
  const first = slash === -1 ? '' : text.slice(0, slash);
  const hasRegistry = first === 'localhost' || /[.:[]/.test(first);
  const colon = text.indexOf(':', hasRegistry ? slash : 0);
  const pattern = colon === -1 ? text : text.slice(0, colon);
  const tag = colon === -1 ? undefined : text.slice(colon + 1);
  if (!PATTERN.test(pattern) || (hasRegistry && /[*?{}]/.test(first)) || text.includes('@'))
    throw new KitError('REFERENCE_INVALID', `invalid pattern \`${text}\``, { hint: 'write REGISTRY/team/*, or REGISTRY/** for all' });
  // the tag is one as in a reference
  const tags = tag === undefined ? [] : parseReference(`pattern:${tag}`).tags;
  const scope = { text, repository: undefined, pattern, tags, digest: undefined };
  return hasRegistry ? { ...scope, type: 'registry', registry: first } : { ...scope, type: 'local' };
}

/** Whether the scope has the repository in it, which is named with its registry. */
export function coversRepository(scope: QueryScope, repository: string): boolean {
  if (scope.repository !== undefined) return repository === scope.repository;
  if (scope.type === 'registry' && !repository.startsWith(`${scope.registry}/`)) return false;
  return scope.pattern === undefined || posix.matchesGlob(repository, scope.pattern);
}

/** Of tags on one digest those that the scope has in it; undefined where it has not even the digest. */
export function coveredTags(scope: QueryScope, tags: readonly string[], digests: readonly string[]): readonly string[] | undefined {
  if (scope.digest !== undefined) return digests.includes(scope.digest) ? tags : undefined;
  if (scope.tags.length === 0) return tags;
  const covered = tags.filter((tag) => scope.tags.includes(tag));
  return covered.length === 0 ? undefined : covered;
}
