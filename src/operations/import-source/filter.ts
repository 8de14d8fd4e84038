import { posix } from 'node:path';
import { KitError } from '../../errors.ts';

/** Which files of a source are wanted: globs, in which `*` stays within a folder and `**` does not. */
export interface ImportFilter {
  /** None takes everything. */
  readonly include?: readonly string[] | undefined;
  readonly exclude?: readonly string[] | undefined;
}

/** What git and the hub keep beside the content. */
const NEVER = /(?:^|\/)(?:\.gitattributes|\.gitignore)$|^\.git(?:\/|$)/;

/** @param below only what lies here: a folder or file @throws KitError FILTER_UNMATCHED when a pattern selects nothing, or all are left out */
export function selectFiles<T extends { readonly path: string }>(
  files: readonly T[],
  filter: ImportFilter,
  below: string | undefined,
  name: string,
): T[] {
  const { include = [], exclude = [] } = filter;
  const inside = files.filter(({ path }) => !NEVER.test(path) && (below === undefined || path === below || path.startsWith(`${below}/`)));
  const unmatched = [...include, ...exclude].find((pattern) => !inside.some(({ path }) => matches(path, pattern)));
  if (unmatched !== undefined) {
    throw new KitError('FILTER_UNMATCHED', `${name}: no file matches \`${unmatched}\``, {
      hint: `its files: ${inside
        .slice(0, 20)
        .map(({ path }) => path)
        .join(', ')}${inside.length > 20 ? ', ...' : ''}`,
    });
  }
  const selected = inside.filter(
    ({ path }) =>
      (include.length === 0 || include.some((pattern) => matches(path, pattern))) && !exclude.some((pattern) => matches(path, pattern)),
  );
  if (selected.length > 0) return selected;
  throw new KitError('FILTER_UNMATCHED', `${name}${below === undefined ? '' : `: ${below}`} has no files that could be imported`);
}

/** A pattern without a slash is for names in any folder, as in .gitignore; one that ends in a slash is for all in a folder. */
function matches(path: string, pattern: string): boolean {
  const whole = pattern.endsWith('/') ? `${pattern}**` : pattern;
  return posix.matchesGlob(whole.includes('/') ? path : posix.basename(path), whole);
}
