import { KitError } from '../errors.ts';
import { composeDocuments, type Node } from './compose.ts';
import { construct, type Constructed, type FieldPath } from './construct.ts';
import { nearestName } from './nearest-name.ts';
import { knownFields, strictKitfile } from './schema.ts';
import { type Position, positionAt, type Problem, sourceError, type SourceText } from './source-text.ts';
import type { Kitfile } from './types.ts';
import { type Violation, violations } from './violations.ts';
import { withoutUndefined } from './without-undefined.ts';

/** The names under which a Kitfile is looked for, in this order. */
export const KITFILE_NAMES = ['Kitfile', 'kitfile', '.kitfile'] as const;

/** The most that a Kitfile may have, in bytes of UTF-8. */
export const MAX_KITFILE_SIZE = 1024 * 1024;

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
  if (Buffer.byteLength(text) > MAX_KITFILE_SIZE) {
    throw new KitError('KITFILE_INVALID', `${file} is larger than 1 MiB`, {
      hint: 'check that this is the Kitfile and not a file that it names',
    });
  }
  const source: SourceText = { file, text: text.replace(/^\uFEFF/, '') };
  const constructed = construct(source, onlyDocument(source), isParameters);
  const result = strictKitfile.safeParse(constructed.value);
  if (!result.success) {
    const problems = violations(result.error.issues, constructed.value).map((violation) => toProblem(constructed, violation));
    throw sourceError(source, problems, result.error);
  }
  return {
    kitfile: withoutUndefined(result.data),
    locate: (path) => positionAt(source.text, offsetOf(constructed, path)),
  };
}

function onlyDocument(source: SourceText): Node {
  const [first, ...others] = composeDocuments(source);
  if (first === undefined || isEmpty(first)) {
    throw new KitError('KITFILE_INVALID', `${source.file} is empty`, { hint: 'write one by hand, or let `kit init` make it' });
  }
  const second = others.find((document) => !isEmpty(document));
  if (second !== undefined) {
    const hint = 'a Kitfile is one document: remove the `---` and what follows';
    throw sourceError(source, [{ offset: second.offset, message: 'a second YAML document', hint }]);
  }
  return first;
}

function isEmpty(document: Node): boolean {
  return document.kind === 'scalar' && document.plain && document.text === '' && document.tag === '';
}

function isParameters(path: FieldPath): boolean {
  if (path.at(-1) !== 'parameters') return false;
  return (path.length === 2 && path[0] === 'model') || (path.length === 3 && path[0] === 'datasets');
}

function toProblem(constructed: Constructed, { path, unknownField, message }: Violation): Problem {
  if (unknownField === undefined) return { offset: offsetOf(constructed, path), message };
  const known = knownFields(path);
  const nearest = nearestName(unknownField, known);
  const allowed = `allowed here: ${known.join(', ')}`;
  const hint = nearest === undefined ? allowed : `did you mean \`${nearest}\`? ${allowed}`;
  return { offset: offsetOf(constructed, [...path, unknownField], 'name'), message, hint };
}

/** Walks as far as the path exists. The offset of the text itself is 0. */
function offsetOf({ value, offsets }: Constructed, path: FieldPath, part: 'name' | 'value' = 'value'): number {
  let at = value;
  let found = 0;
  for (const step of path) {
    if (typeof at !== 'object' || at === null) break;
    const field = offsets.get(at)?.get(step);
    if (field === undefined) break;
    found = field[part];
    at = (at as Record<string | number, unknown>)[step];
  }
  return found;
}
