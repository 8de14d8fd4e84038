import type { JsonValue } from '../oci/json.ts';
import type { Expression, Operand, Ordering } from './expression.ts';
import { valuesAt } from './field-path.ts';

/** True where the document fulfils the expression. Of several values of a field (`[*]`) one is enough. */
export function fulfils(document: JsonValue, expression: Expression): boolean {
  switch (expression.type) {
    case 'and':
      return expression.items.every((item) => fulfils(document, item));
    case 'or':
      return expression.items.some((item) => fulfils(document, item));
    case 'not':
      return !fulfils(document, expression.item);
    case 'present':
      return valuesAt(document, expression.field.steps).some((value) => value !== null && value !== false);
    case 'match': {
      const { field, pattern } = expression;
      return valuesAt(document, field.steps).some((value) => typeof value === 'string' && pattern.test(value));
    }
    case 'compare': {
      const rights = valuesOf(document, expression.right);
      return valuesOf(document, expression.left).some((left) => rights.some((right) => isOrdered(left, right, expression.operator)));
    }
    case 'in': {
      const containers = valuesOf(document, expression.right);
      return valuesOf(document, expression.left).some((value) => containers.some((container) => holds(container, value)));
    }
  }
}

/** A field that is not there is null. */
function valuesOf(document: JsonValue, operand: Operand): readonly JsonValue[] {
  if (operand.type === 'value') return [operand.value];
  if (operand.type === 'list') return [[...operand.values]];
  const values = valuesAt(document, operand.field.steps);
  return values.length === 0 ? [null] : values;
}

function isOrdered(left: JsonValue, right: JsonValue, operator: Ordering): boolean {
  const order = compareValues(left, right);
  if (order === undefined) return false;
  switch (operator) {
    case '==':
      return order === 0;
    case '<':
      return order < 0;
    case '<=':
      return order <= 0;
    case '>':
      return order > 0;
    case '>=':
      return order >= 0;
  }
}

const NUMERIC = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;

/** True for a text that compares with numbers as one, as annotations must. */
export function isNumeric(text: string): boolean {
  return text.length <= 64 && NUMERIC.test(text);
}

/** Undefined for what has no order: values of different kinds, lists, maps. null and booleans are equal or have none. */
export function compareValues(left: JsonValue, right: JsonValue): number | undefined {
  if (typeof left === 'string' && typeof right === 'string') return left < right ? -1 : left > right ? 1 : 0;
  const [a, b] = [asNumber(left, right), asNumber(right, left)];
  if (a !== undefined && b !== undefined) return a < b ? -1 : a > b ? 1 : 0;
  return left === right && (left === null || typeof left === 'boolean') ? 0 : undefined;
}

function asNumber(value: JsonValue, other: JsonValue): number | bigint | undefined {
  if (typeof value === 'number' || typeof value === 'bigint') return value;
  const meetsNumber = typeof other === 'number' || typeof other === 'bigint';
  return typeof value === 'string' && meetsNumber && isNumeric(value) ? Number(value) : undefined;
}

/** A list holds its items, a map its names. */
function holds(container: JsonValue, value: JsonValue): boolean {
  if (Array.isArray(container)) return container.some((item) => compareValues(item, value) === 0);
  return container !== null && typeof container === 'object' && typeof value === 'string' && Object.hasOwn(container, value);
}
