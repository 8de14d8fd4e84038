import { join } from 'node:path';
import type { Candidate, Catalog } from '../../catalog/catalog.ts';
import { type Document, parseDocument, placedDocument } from '../../catalog/document.ts';
import { type FieldPath, parseField } from '../../catalog/field-path.ts';
import { openCache, openCatalogAt } from '../../catalog/open-catalog.ts';
import { openQuestion, type Question } from '../../catalog/question.ts';
import { sqlFilter } from '../../catalog/sql-filter.ts';
import { KitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import { runAll } from '../../targets/run-all.ts';
import type { Kit } from '../kit.ts';
import { crawl, type Crawled } from './crawl.ts';
import { hintAtNames } from './hint.ts';
import { type Place, survey } from './places.ts';
import { coveredTags, coversRepository, LOCAL_STORAGE, parseScope, type QueryScope } from './scope.ts';
import { signaturesText } from './signatures.ts';
import { parseSort, sortDocuments } from './sort.ts';

export interface QueryArguments {
  /** A comparison on the fields of a model, or a JSONPath: docs/query.md. */
  readonly expression: string;
  /** Repositories, with a tag or without, registries, patterns, `oci:DIR`. None: local storage, or all of the catalog. */
  readonly references?: readonly string[];
  /** Path or connection string of a catalog that answers instead of the registries. */
  readonly catalog?: string | undefined;
  /** `FIELD` or `FIELD:desc`; the next decides where one is the same. */
  readonly sort?: readonly string[];
  readonly limit?: number | undefined;
  /** Fields that are going to be shown, besides those of the expression: what is dear to find out is only read where it is named. */
  readonly fields?: readonly string[];
}

export interface QueryResult {
  /** Each with all that is known of it. */
  readonly models: readonly Document[];
  /** How many there are, beyond `limit` too. */
  readonly matches: number;
  /** What was looked at; undefined where a catalog answers. */
  readonly looked: QueryLook | undefined;
  /** Fields that expression and order name. */
  readonly fields: readonly string[];
}

export interface QueryLook {
  readonly models: number;
  /** Artifacts that are no models: images, charts, signatures. */
  readonly others: number;
  readonly unreadable: number;
}

/** Documents at a time: evaluated under one time limit. */
const BATCH = 1000;

/**
 * The models that fulfil an expression, in registries, in local storage or in a catalog. Manifests and configs are read, never layers;
 * headers of weights, and signatures, only if something asks for them.
 * @throws KitError QUERY_INVALID with the place in the expression, REFERENCE_INVALID | REFERENCE_NOT_FOUND | NETWORK ...
 */
export async function query(kit: Kit, args: QueryArguments, call: CallOptions = {}): Promise<QueryResult> {
  const { expression, references = [], limit = Number.POSITIVE_INFINITY, fields = [] } = args;
  const question = await openQuestion(expression);
  const sort = (args.sort ?? []).map(parseSort);
  const shown = [...sort.map(({ field }) => field), ...fields.map(parseField)];
  const asksFor = (name: string): boolean => question.asksFor(name) || shown.some((field) => isBelow(field, name));
  const needs: Needs = { tensors: asksFor('tensors'), signatures: asksFor('signatures') };
  const scopes = references.map(parseScope);
  const { documents, looked, all } =
    args.catalog === undefined
      ? await askLive(kit, question, scopes.length === 0 ? [LOCAL_STORAGE] : scopes, needs, call)
      : await askCatalog(args.catalog, question, scopes, needs, call);
  if (documents.length === 0) hintAtNames(question.fields, all, call);
  const models = sortDocuments(documents.map(parseDocument), sort);
  const named = [...question.fields, ...sort.map(({ field }) => field)].map(({ text }) => text);
  return { models: models.slice(0, limit), matches: models.length, looked, fields: [...new Set(named)] };
}

interface Needs {
  readonly tensors: boolean;
  readonly signatures: boolean;
}

interface Answer {
  /** JSON, of those that fulfil the expression. */
  readonly documents: readonly string[];
  readonly looked: QueryLook | undefined;
  /** Some of those that were looked at, where none fulfils it. */
  readonly all: readonly string[];
}

function isBelow({ steps: [first] }: FieldPath, name: string): boolean {
  return typeof first === 'object' && 'name' in first && first.name === name;
}

async function askLive(kit: Kit, question: Question, scopes: readonly QueryScope[], needs: Needs, call: CallOptions): Promise<Answer> {
  const { places, attachments, refused } = await survey(kit, scopes, { mustExist: true }, call);
  const cache = await openCache(join(kit.home, 'cache', 'query.db'));
  try {
    const { unreadable, partial } = await crawl(kit, places, cache, { withTensors: needs.tensors }, call);
    const broken = new Set<string>(unreadable.map(({ descriptor }) => descriptor.digest));
    const documents: string[] = [];
    const all: string[] = [];
    let [models, others] = [0, attachments];
    for (let start = 0; start < places.length; start += BATCH) {
      const batch = places.slice(start, start + BATCH).filter(({ descriptor }) => !broken.has(descriptor.digest));
      const found = await documentsOf(kit, batch, { cache, partial }, needs, call);
      models += found.documents.length;
      others += found.others;
      documents.push(...question.select(found.documents).map((index) => found.documents[index] as string));
      if (all.length < BATCH) all.push(...found.documents);
    }
    return { documents, looked: { models, others, unreadable: unreadable.length + refused.length }, all };
  } finally {
    await cache.close();
  }
}

async function documentsOf(
  kit: Kit,
  places: readonly Place[],
  { cache, partial }: { readonly cache: Catalog; readonly partial: Crawled['partial'] },
  needs: Needs,
  call: CallOptions,
): Promise<{ readonly documents: readonly string[]; readonly others: number }> {
  const contents = await cache.contents([...new Set(places.map(({ descriptor }) => descriptor.digest))]);
  const members = places.flatMap((place) =>
    (contents.get(place.descriptor.digest) ?? partial.get(place.descriptor.digest) ?? []).map((member) => ({ place, member })),
  );
  const models = members.filter(({ member }) => member.document !== null);
  const documents: string[] = [];
  await runAll([...models.entries()], kit.concurrency, call.signal, async ([index, { place, member }], signal) => {
    const { repository, descriptor, tags } = place;
    const { digest, detail, document } = member;
    const signatures = needs.signatures ? await signaturesText(repository, digest, { ...call, signal }) : undefined;
    const tensors = needs.tensors ? member.tensors : undefined;
    const at = { repository: repository.name, registry: repository.registry, tags, digest, tensors, signatures };
    documents[index] = placedDocument(
      { ...at, index: detail === null ? undefined : { digest: descriptor.digest, detail } },
      document ?? '{}',
    );
  });
  return { documents, others: members.length - models.length };
}

async function askCatalog(
  where: string,
  question: Question,
  scopes: readonly QueryScope[],
  needs: Needs,
  call: CallOptions,
): Promise<Answer> {
  for (const { type, text } of scopes) {
    if (type === 'registry') continue;
    throw new KitError('USAGE', `${text}: a catalog holds what is in registries`, { hint: 'leave out --catalog to search local storage' });
  }
  const catalog = await openCatalogAt(where, 'read');
  try {
    await requireKept(catalog, needs);
    const { dialect } = catalog;
    const { expression } = question;
    const documents: string[] = [];
    const filter = (first: number) => (expression === undefined ? undefined : sqlFilter(expression, dialect, first));
    for await (const page of catalog.candidates(filter)) {
      call.signal?.throwIfAborted();
      const placed = page.flatMap((candidate) => placeCandidate(candidate, scopes, needs));
      documents.push(...question.select(placed).map((index) => placed[index] as string));
    }
    return { documents, looked: undefined, all: documents.length > 0 ? [] : await firstDocuments(catalog, scopes, needs) };
  } finally {
    await catalog.close();
  }
}

/** @throws KitError CATALOG_INVALID where the catalog was written without what is asked for */
async function requireKept(catalog: Catalog, needs: Needs): Promise<void> {
  const scopes = await catalog.scopes();
  for (const what of ['tensors', 'signatures'] as const) {
    if (!needs[what] || scopes.every((scope) => scope[what])) continue;
    throw new KitError('CATALOG_INVALID', `${catalog.name} was written without ${what}`, {
      hint: `\`kit catalog sync --${what}\` adds them`,
    });
  }
}

async function firstDocuments(catalog: Catalog, scopes: readonly QueryScope[], needs: Needs): Promise<string[]> {
  for await (const page of catalog.candidates(() => undefined)) return page.flatMap((one) => placeCandidate(one, scopes, needs));
  return [];
}

/** As a crawl of the scopes would show it; nothing where they do not have it in them. */
function placeCandidate(candidate: Candidate, scopes: readonly QueryScope[], needs: Needs): string[] {
  const { repository, target, digest, detail, document } = candidate;
  const covered = new Set<string>();
  let isCovered = scopes.length === 0;
  if (isCovered) for (const tag of candidate.tags) covered.add(tag);
  for (const scope of scopes) {
    const tags = coversRepository(scope, repository) ? coveredTags(scope, candidate.tags, [target, digest]) : undefined;
    isCovered ||= tags !== undefined;
    for (const tag of tags ?? []) covered.add(tag);
  }
  if (!isCovered) return [];
  const registry = repository.slice(0, repository.indexOf('/'));
  const [tensors, signatures] = [needs.tensors ? candidate.tensors : undefined, needs.signatures ? candidate.signatures : undefined];
  const index = detail === null ? undefined : { digest: target, detail };
  return [placedDocument({ repository, registry, tags: [...covered].toSorted(), digest, index, tensors, signatures }, document)];
}
