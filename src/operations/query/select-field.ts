import { KitError } from '../../errors.ts';
import { kitfileFields } from '../../kitfile/fields.ts';
import { printValue } from '../../kitfile/print.ts';
import type { Kitfile } from '../../kitfile/types.ts';

const STEP = /^(?:\.?([\w-]+)|\[(\d+)\])/;

/**
 * One field of a Kitfile by a path such as `model.parts[0].name`; a leading dot is allowed, names are matched without case.
 * @throws KitError FILTER_INVALID | FILTER_UNMATCHED
 */
export function selectField(kitfile: Kitfile, path: string): { readonly value: unknown; readonly text: string } {
  let value: unknown = kitfileFields(kitfile);
  for (let rest = path; rest !== '';) {
    const [step, name, index] = STEP.exec(rest) ?? [];
    if (step === undefined)
      throw new KitError('FILTER_INVALID', `invalid filter \`${path}\``, { hint: 'write it as model.path or datasets[0].name' });
    const next = name === undefined ? itemAt(value, Number(index)) : fieldOf(value, name);
    if (next === undefined) {
      throw new KitError('FILTER_UNMATCHED', `cannot find \`${path.slice(0, path.length - rest.length + step.length)}\` in the Kitfile`, {
        hint: choices(value),
      });
    }
    value = next;
    rest = rest.slice(step.length);
  }
  return { value, text: printValue(value) };
}

function entriesOf(value: unknown): [string, unknown][] {
  if (value instanceof Map) return [...(value as Map<string, unknown>)];
  return value !== null && typeof value === 'object' && !Array.isArray(value) ? Object.entries(value) : [];
}

function fieldOf(value: unknown, name: string): unknown {
  const entries = entriesOf(value);
  const found = entries.find(([key]) => key === name) ?? entries.find(([key]) => key.toLowerCase() === name.toLowerCase());
  return found?.[1];
}

function itemAt(value: unknown, index: number): unknown {
  return Array.isArray(value) ? (value as unknown[])[index] : undefined;
}

function choices(value: unknown): string {
  if (Array.isArray(value)) return `it is a list of ${value.length}: write [0] to [${value.length - 1}]`;
  const names = entriesOf(value).map(([key]) => key);
  return names.length === 0 ? 'there is nothing below it' : `there is: ${names.join(', ')}`;
}
