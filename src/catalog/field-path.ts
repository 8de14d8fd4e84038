import { isKitError, KitError } from '../errors.ts';
import { nearestName } from '../kitfile/nearest-name.ts';
import type { JsonValue } from '../oci/json.ts';
import { FIELDS, type Shape } from './fields.ts';
import { invalid, type Token, tokenize } from './tokens.ts';

/** A name, a place in a list, or `every` for `[*]`. */
export type Step = { readonly name: string } | { readonly index: number } | 'every';

export interface FieldPath {
  /** As it was written. */
  readonly text: string;
  readonly steps: readonly Step[];
}

/** The field that a flag gives, which errors name: `--sort, character 3: ...`. @throws KitError QUERY_INVALID */
export function parseFlagField(text: string, flag: string): FieldPath {
  try {
    return parseField(text);
  } catch (error) {
    if (!isKitError(error)) throw error;
    const { code, message, hint = '' } = error;
    throw new KitError(code, message.replace(/^(?:the )?expression\b/, flag), { hint, cause: error });
  }
}

/** `model.parameters.accuracy`, `datasets[0].name`, `annotations["a.b"]`. @throws KitError QUERY_INVALID */
export function parseField(text: string): FieldPath {
  const tokens = tokenize(text);
  const { field, next } = readField(text, tokens, 0);
  const rest = tokens[next];
  if (rest !== undefined && rest.type !== 'end') throw invalid(text, rest.at, `\`${rest.source}\` is no part of a field`);
  return field;
}

/** The field that begins with the token at `from`; `next` is the token behind it. */
export function readField(text: string, tokens: readonly Token[], from: number): { readonly field: FieldPath; readonly next: number } {
  const first = tokens[from] as Token;
  if (first.type !== 'name')
    throw invalid(text, first.at, 'a field has to stand here', `fields begin with ${Object.keys(FIELDS).join(', ')}`);
  const located: { readonly step: Step; readonly at: number }[] = [{ step: { name: first.source }, at: first.at }];
  let next = from + 1;
  for (;;) {
    const token = tokens[next] as Token;
    const following = tokens[next + 1];
    if (token.source === '.' && token.type === 'operator') {
      if (following?.type !== 'name')
        throw invalid(text, following?.at ?? text.length, 'a name has to follow the point', 'other names go into brackets: ["a b"]');
      located.push({ step: { name: following.source }, at: following.at });
      next += 2;
    } else if (token.source === '[' && token.type === 'operator' && following !== undefined) {
      located.push({ step: bracketed(text, following), at: following.at });
      const end = tokens[next + 2];
      if (end?.source !== ']') throw invalid(text, end?.at ?? text.length, '`]` is missing');
      next += 3;
    } else break;
  }
  const last = tokens[next - 1] as Token;
  const steps = dottedAnnotations(located.map(({ step }) => step));
  check(text, located);
  return { field: { text: text.slice(first.at, last.at + last.source.length), steps }, next };
}

function bracketed(text: string, { type, source, value, at }: Token): Step {
  if (type === 'end') throw invalid(text, at, 'a place or a name has to follow `[`', 'write [0], [*] or ["name"]');
  if (type === 'text') return { name: String(value) };
  if (source === '*') return 'every';
  if (type === 'number' && typeof value === 'number' && Number.isInteger(value) && value >= 0) return { index: value };
  throw invalid(text, at, `\`${source}\` cannot stand in brackets`, 'write [0], [*] or ["name"]');
}

/** Names of annotations have points in them, and nothing is below one: `annotations.org.opencontainers.image.title` is one name. */
function dottedAnnotations(steps: readonly Step[]): readonly Step[] {
  const at = steps.findIndex((step) => nameOf(step) === 'annotations');
  const names = steps.slice(at + 1).map(nameOf);
  if (at === -1 || at > 1 || names.length < 2 || names.includes(undefined)) return steps;
  return [...steps.slice(0, at + 1), { name: names.join('.') }];
}

function nameOf(step: Step | undefined): string | undefined {
  return typeof step === 'object' && 'name' in step ? step.name : undefined;
}

/** Names that nothing can have are found before anything is asked. */
function check(text: string, located: readonly { readonly step: Step; readonly at: number }[]): void {
  let shape: Shape = { fields: FIELDS };
  let path = '';
  for (const { step, at } of located) {
    if (shape === 'free') return;
    if (shape === 'value') throw invalid(text, at, `\`${path}\` is a single value: nothing is below it`);
    const name = nameOf(step);
    if ('list' in shape) {
      if (name !== undefined)
        throw invalid(text, at, `\`${path}\` is a list`, `write ${path}[*].${name} for any of them, ${path}[0].${name} for the first`);
      shape = shape.list;
      path += '[*]';
      continue;
    }
    if (name === undefined) throw invalid(text, at, `\`${path}\` is no list`);
    const below: Readonly<Record<string, Shape>> = shape.fields;
    const found: Shape | undefined = Object.hasOwn(below, name) ? below[name] : undefined;
    if (found === undefined) throw unknown(text, at, path, name, Object.keys(below));
    shape = found;
    path = path === '' ? name : `${path}.${name}`;
  }
}

function unknown(text: string, at: number, path: string, name: string, names: readonly string[]): Error {
  const nearest = nearestName(name, names);
  const whole = (last: string): string => (path === '' ? last : `${path}.${last}`);
  // the parameters of a model are what is mostly asked for
  const hint =
    nearest === undefined
      ? `there is ${names.join(', ')}${path === 'model' ? `; or did you mean ${whole(`parameters.${name}`)}?` : ''}`
      : `did you mean ${whole(nearest)}?`;
  return invalid(text, at, `there is no field \`${whole(name)}\``, hint);
}

/** The values that the path leads to: none where there is no such field, several only where it has `[*]`. */
export function valuesAt(document: JsonValue, steps: readonly Step[]): readonly JsonValue[] {
  let values: readonly JsonValue[] = [document];
  for (const step of steps) values = values.flatMap((value) => below(value, step));
  return values;
}

// wrapped, for flatMap would take a list apart
function below(value: JsonValue, step: Step): readonly JsonValue[] {
  if (value === null || typeof value !== 'object') return [];
  if (Array.isArray(value)) {
    if (step === 'every') return value;
    const item = 'index' in step ? value[step.index] : undefined;
    return item === undefined ? [] : [item];
  }
  if (step === 'every') return Object.values(value);
  const name = 'name' in step ? step.name : undefined;
  const item = name !== undefined && Object.hasOwn(value, name) ? value[name] : undefined;
  return item === undefined ? [] : [item];
}
