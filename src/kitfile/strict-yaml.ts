import type { z } from 'zod';
import { type ErrorCode, KitError } from '../errors.ts';
import { composeDocuments, type Node } from './compose.ts';
import { construct, type Constructed, type FieldPath } from './construct.ts';
import { nearestName } from './nearest-name.ts';
import { knownFieldsOf } from './schema.ts';
import { type Problem, sourceError, type SourceText } from './source-text.ts';
import { type Violation, violations } from './violations.ts';

/** A kind of YAML file: how messages name one, and what may stand in it. */
export interface DocumentKind<Schema extends z.ZodType> {
  readonly code: ErrorCode;
  /** `a policy` */
  readonly noun: string;
  /** Scalars come as text, whatever they look like; an absent value as undefined. */
  readonly schema: Schema;
  /** True where any JSON may stand, with its scalars resolved. */
  readonly isFree: (path: FieldPath) => boolean;
  readonly maxBytes: number;
  /** What to do about an empty file. */
  readonly start: string;
  /** What to do about a value that is wrong. */
  readonly hint?: string;
}

export interface ParsedDocument<Value> {
  readonly value: Value;
  readonly source: SourceText;
  /** The UTF-16 offset of what stands at `path`, else of the nearest thing around it. */
  readonly offset: (path: FieldPath) => number;
}

/**
 * Reads a YAML file of one document, strictly: unknown fields, duplicate keys and wrong types are errors, each with its place, and with
 * the name that was probably meant. @throws KitError with the code of its kind
 */
export function parseStrictYaml<Schema extends z.ZodType>(
  text: string,
  file: string,
  kind: DocumentKind<Schema>,
): ParsedDocument<z.infer<Schema>> {
  const { code, noun, schema, maxBytes } = kind;
  if (Buffer.byteLength(text) > maxBytes) {
    throw new KitError(code, `${file} is larger than ${maxBytes / 1024 / 1024} MiB`, {
      hint: `check that this is ${noun} and not a file that it names`,
    });
  }
  const source: SourceText = { file, text: text.replace(/^\uFEFF/, ''), code };
  const constructed = construct(source, onlyDocument(source, kind), kind.isFree);
  const result = schema.safeParse(constructed.value);
  if (!result.success) {
    const problems = violations(result.error.issues, constructed.value, noun).map((one) => toProblem(constructed, one, schema));
    const known = problems.some(({ hint }) => hint !== undefined);
    throw sourceError(source, known ? problems : problems.map((one) => ({ ...one, hint: kind.hint })), result.error);
  }
  return { value: result.data, source, offset: (path) => offsetOf(constructed, path) };
}

function onlyDocument(source: SourceText, { code, noun, start }: Pick<DocumentKind<z.ZodType>, 'code' | 'noun' | 'start'>): Node {
  const [first, ...others] = composeDocuments(source);
  if (first === undefined || isEmpty(first)) throw new KitError(code, `${source.file} is empty`, { hint: start });
  const second = others.find((document) => !isEmpty(document));
  if (second !== undefined) {
    const hint = `${noun} is one document: remove the \`---\` and what follows`;
    throw sourceError(source, [{ offset: second.offset, message: 'a second YAML document', hint }]);
  }
  return first;
}

function isEmpty(document: Node): boolean {
  return document.kind === 'scalar' && document.plain && document.text === '' && document.tag === '';
}

function toProblem(constructed: Constructed, { path, unknownField, message }: Violation, schema: z.ZodType): Problem {
  if (unknownField === undefined) return { offset: offsetOf(constructed, path), message };
  const known = knownFieldsOf(schema, path);
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
