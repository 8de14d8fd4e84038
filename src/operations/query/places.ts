import { isKitError, KitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import type { Digest } from '../../oci/digest.ts';
import { isManifestLike } from '../../oci/media-types.ts';
import { isReferrersTag } from '../../oci/referrers-tag.ts';
import { type Location, parseReference } from '../../oci/reference.ts';
import { openLayout } from '../../targets/layout.ts';
import { runAll } from '../../targets/run-all.ts';
import type { ReadTarget } from '../../targets/types.ts';
import type { Kit } from '../kit.ts';
import { type Lookup, openRemoteSource } from '../artifact/open-location.ts';
import { coversRepository, type QueryScope } from './scope.ts';

/** Where manifests are read. */
export interface Repository {
  /** `ghcr.io/team/model`, a name of local storage, `oci:DIR`. */
  readonly name: string;
  readonly registry: string | undefined;
  readonly target: ReadTarget;
  readonly lookup: Lookup;
  /** What names a manifest of it. */
  readonly at: (digest: Digest) => Location;
}

/** A manifest or index, and the tags on it. */
export interface Place {
  readonly repository: Repository;
  readonly descriptor: Descriptor;
  readonly tags: readonly string[];
}

export interface Survey {
  readonly places: readonly Place[];
  /** Names of those whose tags are all known now. */
  readonly repositories: readonly string[];
  /** Of signatures and the like: tags that stand for no artifact of their own. */
  readonly attachments: number;
  /** Names of repositories that the registry lists and does not show. */
  readonly refused: readonly string[];
}

const MAX_REPOSITORIES = 100_000;
const MAX_TAGS = 2_000_000;

/** Every place in the scopes: tags are listed and resolved, no manifest is read. @throws KitError REFERENCE_NOT_FOUND for one that is named */
export async function survey(
  kit: Kit,
  scopes: readonly QueryScope[],
  { mustExist }: { readonly mustExist: boolean },
  call: CallOptions,
): Promise<Survey> {
  const found = new SurveyResult();
  for (const scope of scopes) {
    if (scope.type === 'registry') await surveyRegistry(kit, scope, mustExist, found, call);
    else if (scope.type === 'local') await surveyStore(kit, scope, found);
    else await surveyLayout(kit, scope, found, call);
  }
  return found.result();
}

/** Tags on one digest are one place, by whatever scope it was found. */
class SurveyResult {
  readonly repositories = new Set<string>();
  readonly refused = new Set<string>();
  readonly #places = new Map<string, { readonly repository: Repository; readonly descriptor: Descriptor; readonly tags: Set<string> }>();
  readonly #attachments = new Set<string>();

  add(repository: Repository, descriptor: Descriptor, tags: readonly string[]): void {
    const key = `${repository.name}@${descriptor.digest}`;
    const place = this.#places.get(key) ?? { repository, descriptor, tags: new Set() };
    for (const tag of tags) place.tags.add(tag);
    this.#places.set(key, place);
  }

  /** Of a list of tags those that name artifacts; the others are counted. */
  artifacts(repository: string, tags: Iterable<string>): string[] {
    return [...tags].filter((tag) => {
      const isAttachment = isReferrersTag(tag);
      if (isAttachment) this.#attachments.add(`${repository}:${tag}`);
      return !isAttachment;
    });
  }

  result(): Survey {
    const places = [...this.#places.values()].map((place) => ({ ...place, tags: [...place.tags].toSorted() }));
    return { places, repositories: [...this.repositories], attachments: this.#attachments.size, refused: [...this.refused] };
  }
}

type ScopeOf<Type extends QueryScope['type']> = Extract<QueryScope, { readonly type: Type }>;

async function surveyRegistry(
  kit: Kit,
  scope: ScopeOf<'registry'>,
  mustExist: boolean,
  found: SurveyResult,
  call: CallOptions,
): Promise<void> {
  const isNamed = scope.repository !== undefined;
  const names = isNamed ? [scope.repository] : await listedRepositories(kit, scope, mustExist, call);
  const tagged: { readonly repository: Repository; readonly tag: string }[] = [];
  await runAll(names, kit.concurrency, call.signal, async (name, signal) => {
    const repository = await remoteRepository(kit, name, scope.registry);
    try {
      const wanted = scope.digest === undefined ? scope.tags : [scope.digest];
      const tags = wanted.length > 0 && isNamed ? wanted : await tagsOf(repository.target, { ...call, signal });
      const artifacts = found
        .artifacts(name, tags)
        .filter((tag) => scope.tags.length === 0 || tag === scope.digest || scope.tags.includes(tag));
      tagged.push(...artifacts.map((tag) => ({ repository, tag })));
      if (tagged.length > MAX_TAGS)
        throw new KitError('LIMIT_EXCEEDED', `${scope.text} has more than ${MAX_TAGS} tags`, { hint: 'name fewer repositories' });
      found.repositories.add(name);
    } catch (error) {
      const isGone = isKitError(error, 'REFERENCE_NOT_FOUND');
      if (isNamed && !(isGone && !mustExist)) throw error;
      // registries list repositories whose last tag was deleted
      if (isGone) found.repositories.add(name);
      else if (isKitError(error, 'DENIED', 'UNAUTHORIZED')) refuse(name, error, found, call);
      else throw error;
    }
  });
  await runAll(tagged, kit.concurrency, call.signal, async ({ repository, tag }, signal) => {
    try {
      const descriptor = await repository.target.resolve(tag, { ...call, signal });
      found.add(repository, descriptor, tag === scope.digest ? [] : [tag]);
    } catch (error) {
      // deleted a moment ago, unless it was named
      if (!isKitError(error, 'REFERENCE_NOT_FOUND') || (mustExist && isNamed && (scope.tags.length > 0 || scope.digest !== undefined)))
        throw error;
    }
  });
}

function refuse(name: string, error: KitError, found: SurveyResult, call: CallOptions): void {
  found.refused.add(name);
  call.onEvent?.({ type: 'warning', code: error.code, message: `${name} is left out: ${error.message}` });
}

async function listedRepositories(kit: Kit, scope: ScopeOf<'registry'>, mustExist: boolean, call: CallOptions): Promise<string[]> {
  const names: string[] = [];
  try {
    for await (const listed of (await kit.registry()).catalog(scope.registry, call)) {
      const name = `${scope.registry}/${listed}`;
      if (coversRepository(scope, name)) names.push(name);
      if (names.length > MAX_REPOSITORIES)
        throw new KitError('LIMIT_EXCEEDED', `${scope.text} has more than ${MAX_REPOSITORIES} repositories`, {
          hint: 'narrow the pattern',
        });
    }
  } catch (error) {
    if (!isKitError(error, 'REGISTRY_ERROR', 'DENIED', 'UNAUTHORIZED', 'REFERENCE_NOT_FOUND', 'UNSUPPORTED')) throw error;
    throw new KitError(error.code, `${scope.registry} does not list its repositories: ${error.message}`, {
      cause: error,
      hint: `many registries do not, or not to everybody; name them: ${scope.registry}/team/model ${scope.registry}/team/other`,
    });
  }
  if (names.length > 0 || scope.pattern === undefined || !mustExist) return names;
  throw new KitError('REFERENCE_NOT_FOUND', `no repository of ${scope.registry} matches \`${scope.pattern}\``, {
    hint: '`*` stands for one part of a name; `**` for several',
  });
}

async function remoteRepository(kit: Kit, name: string, registry: string): Promise<Repository> {
  const reference = { registry, repository: name.slice(registry.length + 1), tags: [], digest: undefined };
  const target = await openRemoteSource(kit, reference);
  return { name, registry, target, lookup: 'remote', at: (digest) => ({ type: 'reference', reference: { ...reference, digest } }) };
}

async function tagsOf(target: ReadTarget, call: CallOptions): Promise<string[]> {
  return await Array.fromAsync(target.can.tags?.(call) ?? []);
}

async function surveyStore(kit: Kit, scope: ScopeOf<'local'>, found: SurveyResult): Promise<void> {
  const store = await kit.store();
  let matched = false;
  const isAll = scope.repository === undefined && scope.pattern === undefined;
  for (const { repository: name, tags, descriptor } of await store.list()) {
    if (!isManifestLike(descriptor.mediaType) || !coversRepository(scope, name)) continue;
    const artifacts = found.artifacts(name, tags);
    if (tags.length > 0 && artifacts.length === 0) continue;
    const covered = scope.digest === undefined ? artifacts.filter((tag) => scope.tags.length === 0 || scope.tags.includes(tag)) : artifacts;
    if (scope.digest === undefined ? scope.tags.length > 0 && covered.length === 0 : descriptor.digest !== scope.digest) continue;
    matched = true;
    const reference = parsedName(name);
    const at = (digest: Digest): Location => ({ type: 'reference', reference: { ...reference, digest } });
    found.add(
      { name, registry: reference.registry, target: store.repository(name === '_' ? '' : name), lookup: 'local', at },
      descriptor,
      covered,
    );
  }
  if (matched || isAll) return;
  throw new KitError('REFERENCE_NOT_FOUND', `${scope.text} is not in local storage`, {
    hint: '`kit list` shows what is there; a name with a registry, such as ghcr.io/team/model, is looked up in that',
  });
}

function parsedName(name: string): { registry: string | undefined; repository: string; tags: readonly string[] } {
  // `_` is what has no name
  if (name === '_') return { registry: undefined, repository: '', tags: [] };
  const { registry, repository } = parseReference(name);
  return { registry, repository, tags: [] };
}

async function surveyLayout(kit: Kit, scope: ScopeOf<'layout'>, found: SurveyResult, call: CallOptions): Promise<void> {
  const target: ReadTarget = await openLayout(scope.path);
  const name = `oci:${scope.path}`;
  const at = (digest: Digest): Location => ({ type: 'layout', path: scope.path, reference: digest });
  const repository: Repository = { name, registry: undefined, target, lookup: 'local', at };
  const wanted = scope.digest === undefined ? scope.tags : [scope.digest];
  const tags = found.artifacts(name, wanted.length > 0 ? wanted : await tagsOf(target, call));
  await runAll(tags, kit.concurrency, call.signal, async (tag, signal) => {
    found.add(repository, await target.resolve(tag, { ...call, signal }), tag === scope.digest ? [] : [tag]);
  });
}
