import { KitError } from '../errors.ts';
import type { CallOptions } from '../events.ts';
import { readLimited } from './body.ts';
import { reading, type RepositoryContext, repositoryUrl } from './context.ts';
import type { Endpoint } from './endpoint.ts';
import type { RegistryHttp, RegistryRequest } from './http.ts';
import { parseObject } from './json-object.ts';
import { plainText } from './redact.ts';

const MAX_PAGE_BYTES = 16 * 1024 * 1024;
const MAX_PAGES = 10_000;
const TAG = /^\w[\w.-]{0,127}$/;
const REPOSITORY = /^[\w./-]{1,255}$/;

/** GET /v2/NAME/tags/list, page after page. @throws KitError REFERENCE_NOT_FOUND when there is no such repository */
export function listTags(context: RepositoryContext, call: CallOptions): AsyncGenerator<string, void, undefined> {
  const subject = { kind: 'repository', name: context.name } as const;
  return list(context.http, { ...reading(context, call), subject, url: repositoryUrl(context, 'tags/list') }, 'tags', TAG);
}

/** GET /v2/_catalog, page after page. Many registries keep it to administrators, or lack it. */
export function listRepositories(http: RegistryHttp, endpoint: Endpoint, call: CallOptions): AsyncGenerator<string, void, undefined> {
  const subject = { kind: 'registry', name: endpoint.registry } as const;
  const url = new URL(`${endpoint.origin}/v2/_catalog`);
  return list(http, { endpoint, subject, url, scopes: ['registry:catalog:*'], call }, 'repositories', REPOSITORY);
}

type ListRequest = Pick<RegistryRequest, 'endpoint' | 'scopes' | 'call' | 'subject' | 'url'>;

async function* list(http: RegistryHttp, request: ListRequest, key: string, grammar: RegExp): AsyncGenerator<string, void, undefined> {
  const visited = new Set<string>();
  let url: URL | undefined = request.url;
  while (url !== undefined) {
    const { name } = request.subject;
    if (visited.has(url.href) || visited.size >= MAX_PAGES) {
      throw new KitError('REGISTRY_ERROR', `${name}: the registry's list of ${key} does not end`);
    }
    visited.add(url.href);
    const response = await http.request({ ...request, method: 'GET', url, headers: { accept: 'application/json' }, accept: [200] });
    const items = parsePage(await readLimited(response.body, MAX_PAGE_BYTES, name), key, name);
    for (const item of items) {
      // shown to users and put into paths: nothing else than names may pass
      if (!grammar.test(item)) throw new KitError('REGISTRY_ERROR', `${name}: the registry lists \`${plainText(item)}\` among its ${key}`);
      yield item;
    }
    url = nextPage(response.header('link'), url);
  }
}

function parsePage(body: Buffer, key: string, name: string): readonly string[] {
  const page = parseObject(body.toString('utf8'));
  // Go registries write an empty list as null
  const items = page === undefined ? undefined : (page[key] ?? []);
  if (!Array.isArray(items) || !items.every((item) => typeof item === 'string'))
    throw new KitError('REGISTRY_ERROR', `${name}: the registry answers without a list of ${key}`);
  return items;
}

/**
 * The target of `Link: <...>; rel="next"` (RFC 8288). Only its path and query count: registries behind a proxy often
 * name a wrong origin, and a list never continues elsewhere.
 */
export function nextPage(link: string | undefined, current: URL): URL | undefined {
  const target = /<([^<>]*)>\s*;[^<]*\brel\s*=\s*"?next\b/i.exec(link ?? '')?.[1];
  const url = target === undefined ? null : URL.parse(target, current.href);
  return url === null ? undefined : new URL(current.origin + url.pathname + url.search);
}
