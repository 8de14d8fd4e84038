import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Catalog, Scope } from '../../catalog/catalog.ts';
import { openCatalogAt } from '../../catalog/open-catalog.ts';
import { KitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import { runAll } from '../../targets/run-all.ts';
import type { Kit } from '../kit.ts';
import { crawl } from './crawl.ts';
import { type Place, type Survey, survey } from './places.ts';
import { coversRepository, parseScope, type QueryScope } from './scope.ts';
import { signaturesText } from './signatures.ts';

export interface CatalogSyncArguments {
  /** Registries, patterns, repositories, with a tag or without. None: all that the catalog was told before. */
  readonly references?: readonly string[];
  /** Path of an SQLite file, or connection string of PostgreSQL. Default: `<home>/catalog.db`. */
  readonly database?: string | undefined;
  /** Also what headers of weights say: some requests more for each model. */
  readonly tensors?: boolean;
  /** Also who says to have signed: some requests more for each model, each time. */
  readonly signatures?: boolean;
}

export interface CatalogSyncResult {
  /** For people: never with a password. */
  readonly catalog: string;
  readonly repositories: number;
  readonly tags: { readonly added: number; readonly moved: number; readonly removed: number; readonly unchanged: number };
  /** Manifests and indexes that were read: those not seen before. */
  readonly read: number;
  readonly unreadable: number;
  /** What the catalog holds now. */
  readonly models: number;
  readonly others: number;
}

/** Where the catalog of this user is. */
export function defaultCatalog({ home }: Pick<Kit, 'home'>): string {
  return join(home, 'catalog.db');
}

/**
 * Brings a catalog up to date: tags are compared by digest, and only manifests not seen before are read. What was read stays when it is
 * interrupted; tags change at the end, a repository at a time. Two at once wait for one another.
 * @throws KitError STORE_BUSY | CATALOG_INVALID | DATABASE_FAILED, and what the registries answer
 */
export async function catalogSync(kit: Kit, args: CatalogSyncArguments, call: CallOptions = {}): Promise<CatalogSyncResult> {
  const given = (args.references ?? []).map(requireRegistry);
  if (args.database === undefined) await mkdir(kit.home, { recursive: true });
  // without a word of what is to be in it, none is made
  const catalog = await openCatalogAt(args.database ?? defaultCatalog(kit), given.length > 0 ? 'create' : 'write');
  try {
    return await catalog.exclusively(async () => await syncAll(kit, catalog, given, args, call), call.signal);
  } finally {
    await catalog.close();
  }
}

function requireRegistry(text: string): QueryScope {
  const scope = parseScope(text);
  if (scope.digest !== undefined)
    throw new KitError('USAGE', `${text}: a catalog follows tags`, { hint: 'name the repository, or a tag of it' });
  if (scope.type === 'registry') return scope;
  throw new KitError('USAGE', `${text}: a catalog holds what is in registries`, {
    hint: 'name REGISTRY, REGISTRY/team/* or REGISTRY/REPOSITORY; `kit query EXPRESSION` searches local storage as it is',
  });
}

interface Work {
  readonly scope: QueryScope;
  readonly kept: Scope;
  /** What is named for the first time must be there; what was there before may be gone. */
  readonly isNew: boolean;
}

async function syncAll(
  kit: Kit,
  catalog: Catalog,
  given: readonly QueryScope[],
  { tensors = false, signatures = false }: CatalogSyncArguments,
  call: CallOptions,
): Promise<CatalogSyncResult> {
  const work = workOf(await catalog.scopes(), given, { tensors, signatures });
  if (work.length === 0)
    throw new KitError('USAGE', `${catalog.name} is empty: say what is to be in it`, {
      hint: '`kit catalog sync REGISTRY/team/*`, for example',
    });
  const total = { repositories: 0, added: 0, moved: 0, removed: 0, unchanged: 0, read: 0, unreadable: 0 };
  for (const { scope, kept, isNew } of work) {
    const found = await survey(kit, [scope], { mustExist: isNew }, call);
    const { read, unreadable } = await crawl(kit, found.places, catalog, { withTensors: kept.tensors }, call);
    if (kept.signatures) await keepSignatures(kit, catalog, found.places, call);
    total.repositories += found.repositories.length;
    total.read += read;
    total.unreadable += unreadable.length + found.refused.length;
    await keepTags(catalog, scope, found, total);
  }
  await catalog.sweep();
  await catalog.setScopes(
    work.map(({ kept }) => kept),
    new Date().toISOString(),
  );
  const { artifacts, models } = await catalog.count();
  const { repositories, read, unreadable, ...tags } = total;
  return { catalog: catalog.name, repositories, tags, read, unreadable, models, others: artifacts - models };
}

/** What was asked for once stays asked for. */
function workOf(kept: readonly Scope[], given: readonly QueryScope[], asked: Pick<Scope, 'tensors' | 'signatures'>): Work[] {
  const scopes = given.length > 0 ? given : kept.map(({ scope }) => parseScope(scope));
  return scopes.map((scope) => {
    const before = kept.find((one) => one.scope === scope.text);
    const tensors = asked.tensors || before?.tensors === true;
    const signatures = asked.signatures || before?.signatures === true;
    return { scope, kept: { scope: scope.text, tensors, signatures }, isNew: before === undefined };
  });
}

async function keepSignatures(kit: Kit, catalog: Catalog, places: readonly Place[], call: CallOptions): Promise<void> {
  const contents = await catalog.contents([...new Set(places.map(({ descriptor }) => descriptor.digest))]);
  const subjects = places.flatMap(({ repository, descriptor }) =>
    (contents.get(descriptor.digest) ?? []).flatMap(({ digest, document }) => {
      return document === null ? [] : [{ repository, digest }];
    }),
  );
  let rows: { repository: string; digest: string; document: string }[] = [];
  const flush = async (): Promise<void> => {
    const pending = rows;
    rows = [];
    if (pending.length > 0) await catalog.setSignatures(pending);
  };
  await runAll(subjects, kit.concurrency, call.signal, async ({ repository, digest }, signal) => {
    const document = await signaturesText(repository, digest, { ...call, signal });
    rows.push({ repository: repository.name, digest, document });
    if (rows.length >= 100) await flush();
  });
  await flush();
}

async function keepTags(
  catalog: Catalog,
  scope: QueryScope,
  { places, repositories, refused }: Survey,
  total: { added: number; moved: number; removed: number; unchanged: number },
): Promise<void> {
  const now = new Map<string, Map<string, string>>(repositories.map((name) => [name, new Map()]));
  for (const { repository, descriptor, tags } of places) for (const tag of tags) now.get(repository.name)?.set(tag, descriptor.digest);
  // those that the registry has no more; those that it does not show today stay as they were
  for (const name of await catalog.repositories())
    if (!now.has(name) && !refused.includes(name) && coversRepository(scope, name)) now.set(name, new Map());
  for (const [repository, tags] of now) {
    const before = await catalog.tags(repository);
    const isCovered = (tag: string): boolean => scope.tags.length === 0 || scope.tags.includes(tag);
    const gone = [...before.keys()].filter((tag) => isCovered(tag) && !tags.has(tag));
    const moved = new Map([...tags].filter(([tag, target]) => before.get(tag) !== target));
    const added = [...moved.keys()].filter((tag) => !before.has(tag)).length;
    total.added += added;
    total.moved += moved.size - added;
    total.removed += gone.length;
    total.unchanged += tags.size - moved.size;
    if (moved.size > 0 || gone.length > 0) await catalog.changeTags(repository, moved, gone);
  }
}
