import { posix } from 'node:path';
import { KitError } from '../../errors.ts';
import type { ArtifactLayer } from '../../formats/types.ts';
import { cleanLayerPath } from '../../kitfile/layer-path.ts';
import { matchesPath } from './path-pattern.ts';

const TYPES = ['kitfile', 'model', 'datasets', 'code', 'prompts', 'docs', 'mcpservers', 'path'] as const;
export type FilterType = (typeof TYPES)[number];

/**
 * `type[,type][:name[,name]]`: layers of one of the types, with one of the names if any are given. `path:pattern[,pattern]`: single
 * files, out of any layer.
 */
export interface Filter {
  readonly types: readonly FilterType[];
  /** Names, paths or globs; empty takes all. */
  readonly patterns: readonly string[];
  readonly text: string;
}

/** @throws KitError FILTER_INVALID */
export function parseFilter(text: string): Filter {
  const colon = text.indexOf(':');
  const types = (colon === -1 ? text : text.slice(0, colon)).split(',');
  for (const type of types) {
    if ((TYPES as readonly string[]).includes(type)) continue;
    throw new KitError('FILTER_INVALID', `invalid filter type \`${type}\` (must be one of ${TYPES.join(', ')})`, {
      hint: 'a filter is TYPE[,TYPE][:NAME[,NAME]], for example `--filter model` or `--filter datasets:train`',
    });
  }
  const patterns = colon === -1 ? [] : text.slice(colon + 1).split(',');
  if (patterns.includes('')) {
    throw new KitError('FILTER_INVALID', `invalid filter \`${text}\`: a name is empty`, { hint: 'a filter is TYPE[,TYPE][:NAME[,NAME]]' });
  }
  if (types.includes('path') && (types.length > 1 || patterns.length === 0)) {
    throw new KitError('FILTER_INVALID', `invalid filter \`${text}\`: \`path\` stands alone and names files`, {
      hint: "write for example `--filter 'path:tokenizer*'`, and further filters as further options",
    });
  }
  return { types: types as FilterType[], patterns, text };
}

const TYPE_OF_ROLE: Readonly<Record<ArtifactLayer['role'], FilterType | undefined>> = {
  model: 'model',
  modelpart: 'model',
  code: 'code',
  dataset: 'datasets',
  docs: 'docs',
  prompt: 'prompts',
  mcpserver: 'mcpservers',
  file: undefined,
};

type Named = Pick<ArtifactLayer, 'role' | 'name' | 'path' | 'within'>;

/** True when the filter wants the layer: its name or path, as written or cleaned, equals or matches a pattern. */
export function matchesLayer(filter: Filter, layer: Named): boolean {
  const type = TYPE_OF_ROLE[layer.role];
  if (type === undefined || !filter.types.includes(type)) return false;
  if (filter.patterns.length === 0) return true;
  const paths = layer.within === undefined ? [layer.path] : [layer.path, layer.within];
  const names = [layer.name, ...paths, ...paths.map(cleanLayerPath)].filter((name) => name !== undefined);
  return filter.patterns.some((pattern) =>
    names.some((name) => name === pattern || name === cleanLayerPath(pattern) || posix.matchesGlob(name, pattern)),
  );
}

/** No filters at all want everything. */
export function wantsKitfile(filters: readonly Filter[]): boolean {
  return filters.length === 0 || filters.some(({ types }) => types.includes('kitfile'));
}

export function wantsLayer(filters: readonly Filter[], layer: Named): boolean {
  return filters.length === 0 || filters.some((filter) => matchesLayer(filter, layer));
}

/** Which files the `path` filters want, and which of these filters have found one. */
export class PathSelection {
  readonly filters: readonly Filter[];
  readonly #found = new Set<Filter>();

  constructor(filters: readonly Filter[]) {
    this.filters = filters.filter(({ types }) => types.includes('path'));
  }

  get patterns(): string[] {
    return this.filters.flatMap(({ patterns }) => patterns);
  }

  wants(path: string): boolean {
    return this.patterns.some((pattern) => matchesPath(pattern, path));
  }

  /** To be told the path of every file that there is. */
  see(path: string): void {
    for (const filter of this.filters)
      if (!this.#found.has(filter) && filter.patterns.some((pattern) => matchesPath(pattern, path))) this.#found.add(filter);
  }

  /** @throws KitError FILTER_UNMATCHED */
  requireFound(name: string): void {
    const missing = this.filters.find((filter) => !this.#found.has(filter));
    if (missing === undefined) return;
    throw new KitError('FILTER_UNMATCHED', `the filter \`${missing.text}\` matches no file of ${name}`, {
      hint: `\`kit files ${name}\` lists them`,
    });
  }
}

/** How the layers can be named in a filter, for the message when one matches nothing. */
export function describeChoices(layers: readonly Named[]): string {
  return layers
    .flatMap((layer) => {
      const type = TYPE_OF_ROLE[layer.role];
      return type === undefined ? [] : [`\n  ${type}:${layer.name ?? layer.path}${layer.name === undefined ? '' : ` (${layer.path})`}`];
    })
    .join('');
}
