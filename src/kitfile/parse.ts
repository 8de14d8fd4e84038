import type { FieldPath } from './construct.ts';
import { strictKitfile } from './schema.ts';
import { type Position, positionAt } from './source-text.ts';
import { parseStrictYaml } from './strict-yaml.ts';
import type { Kitfile } from './types.ts';
import { withoutUndefined } from './without-undefined.ts';

/** The names under which a Kitfile is looked for, in this order. */
export const KITFILE_NAMES = ['Kitfile', 'kitfile', '.kitfile'] as const;

/** The most that a Kitfile may have, in bytes of UTF-8. */
export const MAX_KITFILE_SIZE = 1024 * 1024;

const KITFILE = {
  code: 'KITFILE_INVALID',
  noun: 'a Kitfile',
  schema: strictKitfile,
  isFree: isParameters,
  maxBytes: MAX_KITFILE_SIZE,
  start: 'write one by hand, or let `kit init` make it',
} as const;

export interface ParsedKitfile {
  readonly kitfile: Kitfile;
  /** Where the value at `path` (`['code', 0, 'path']`) stands, else the nearest thing around it; an alias counts where it is used. */
  readonly locate: (path: FieldPath) => Position;
}

/**
 * Reads a Kitfile as kit does (yaml.v3 with known fields only), strictly: unknown fields, duplicate keys, wrong types and
 * a second document are errors. Paths and references are not judged here: see validateKitfile.
 * @param file how messages name the text: a path, or `stdin`
 * @throws KitError KITFILE_INVALID `FILE:LINE:COLUMN: what is wrong`, with the source line, for every problem found
 */
export function parseKitfile(text: string, file: string): ParsedKitfile {
  const { value, source, offset } = parseStrictYaml(text, file, KITFILE);
  return { kitfile: withoutUndefined(value), locate: (path) => positionAt(source.text, offset(path)) };
}

function isParameters(path: FieldPath): boolean {
  if (path.at(-1) !== 'parameters') return false;
  return (path.length === 2 && path[0] === 'model') || (path.length === 3 && path[0] === 'datasets');
}
