import type { Dialect, Parameter } from './database.ts';
import type { Expression, Operand, Ordering, Scalar } from './expression.ts';
import { isNumeric } from './evaluate.ts';
import type { FieldPath, Step } from './field-path.ts';
import { isPlaceField } from './fields.ts';

/** A condition with its parameters, numbered from `first` on. */
export interface SqlFilter {
  readonly sql: string;
  readonly parameters: readonly Parameter[];
}

/**
 * A condition on the column `facts` that holds for every document which fulfils the expression, and for few others: what it lets through
 * is evaluated afterwards. Undefined where the database can be of no help.
 */
export function sqlFilter(expression: Expression, dialect: Dialect, first = 1): SqlFilter | undefined {
  const bound: Parameter[] = [];
  const sql = new Translator(dialect, (value) => `$${bound.push(value)}`).necessary(expression);
  if (sql === undefined) return undefined;
  // those of a part that came to nothing are not in it, and PostgreSQL takes none that is not
  const used = [...new Set([...sql.matchAll(/\$(\d+)/g)].map(([, number]) => Number(number)))];
  const numbered = sql.replaceAll(/\$(\d+)/g, (_text, number: string) => `$${first + used.indexOf(Number(number))}`);
  return { sql: numbered, parameters: used.map((number) => bound[number - 1] ?? null) };
}

/** Numbers in texts are read by another program: its last digit may differ. */
const TOLERANCE = 1e-12;
/** Names that every database writes and reads in one way. */
const PLAIN_NAME = /^[\w.:/@ -]{1,200}$/;

class Translator {
  readonly #dialect: Dialect;
  readonly #bind: (value: Parameter) => string;

  constructor(dialect: Dialect, bind: (value: Parameter) => string) {
    this.#dialect = dialect;
    this.#bind = bind;
  }

  /** What must hold for the expression to hold; undefined: nothing is known. */
  necessary(expression: Expression): string | undefined {
    switch (expression.type) {
      case 'and': {
        const known = expression.items.flatMap((item) => this.necessary(item) ?? []);
        return known.length === 0 ? undefined : `(${known.join(' AND ')})`;
      }
      case 'or': {
        const items = expression.items.map((item) => this.necessary(item));
        return items.includes(undefined) ? undefined : `(${items.join(' OR ')})`;
      }
      case 'present':
        return this.#exists(expression.field);
      case 'match':
        return this.#isOfType(expression.field, 'text');
      case 'compare': {
        const { left, right, operator } = expression;
        if (left.type === 'field' && right.type === 'value') return this.#compares(left.field, operator, right.value);
        return left.type === 'value' && right.type === 'field' ? this.#compares(right.field, MIRRORED[operator], left.value) : undefined;
      }
      case 'in':
        return this.#isOneOf(expression.left, expression.right);
      case 'not':
        return undefined;
    }
  }

  #isOneOf(left: Operand, right: Operand): string | undefined {
    if (left.type !== 'field' || right.type !== 'list') return undefined;
    const items = right.values.map((value) => this.#compares(left.field, '==', value));
    if (items.includes(undefined)) return undefined;
    return items.length === 0 ? 'FALSE' : `(${items.join(' OR ')})`;
  }

  #compares(field: FieldPath, operator: Ordering, value: Scalar): string | undefined {
    // what is not there equals null
    if (value === null) return undefined;
    if (typeof value === 'boolean') return this.#isOfType(field, 'boolean');
    // `true == true` and the like have no field and do not come here
    if (typeof value === 'string') {
      if (isNumeric(value)) return this.#exists(field);
      return operator === '==' && isPortable(value) ? this.#isText(field, value) : this.#isOfType(field, 'text');
    }
    const number = Number(value);
    const margin = Math.abs(number) * TOLERANCE;
    const [low, high] = [number - margin, number + margin];
    if (!Number.isFinite(low) || !Number.isFinite(high)) return this.#exists(field);
    if (operator === '==')
      return this.#isNumber(field, [
        ['>=', low],
        ['<=', high],
      ]);
    return operator.startsWith('>') ? this.#isNumber(field, [['>=', low]]) : this.#isNumber(field, [['<=', high]]);
  }

  #exists(field: FieldPath): string | undefined {
    const at = this.#at(field);
    return at && (this.#dialect === 'sqlite' ? `json_type(a.facts, ${at}) IS NOT NULL` : `a.facts #> ${at} IS NOT NULL`);
  }

  #isOfType(field: FieldPath, type: 'text' | 'boolean'): string | undefined {
    const at = this.#at(field);
    if (at === undefined) return undefined;
    if (this.#dialect === 'sqlite') return `json_type(a.facts, ${at}) IN (${type === 'text' ? "'text'" : "'true', 'false'"})`;
    return `jsonb_typeof(a.facts #> ${at}) = '${type === 'text' ? 'string' : type}'`;
  }

  #isText(field: FieldPath, text: string): string | undefined {
    const at = this.#at(field);
    if (at === undefined) return undefined;
    return this.#dialect === 'sqlite'
      ? `json_extract(a.facts, ${at}) = ${this.#bind(text)}`
      : `a.facts #>> ${at} = ${this.#bind(text)}::text`;
  }

  /** A number within the bounds, or a text, which may be one. */
  #isNumber(field: FieldPath, bounds: readonly (readonly [string, number])[]): string | undefined {
    const at = this.#at(field);
    if (at === undefined) return undefined;
    if (this.#dialect === 'sqlite') {
      const within = bounds.map(([operator, bound]) => `json_extract(a.facts, ${at}) ${operator} ${this.#bind(bound)}`).join(' AND ');
      return `(json_type(a.facts, ${at}) = 'text' OR (${within}))`;
    }
    const within = bounds.map(([operator, bound]) => `(a.facts #>> ${at})::numeric ${operator} ${this.#bind(String(bound))}::numeric`);
    return `CASE jsonb_typeof(a.facts #> ${at}) WHEN 'string' THEN TRUE WHEN 'number' THEN ${within.join(' AND ')} ELSE FALSE END`;
  }

  /** The path as a parameter; undefined for one that stands for several values, or that is no part of `facts`. */
  #at({ steps }: FieldPath): string | undefined {
    const [first] = steps;
    if (!steps.every(isPlain) || typeof first !== 'object' || !('name' in first) || isPlaceField(first.name)) return undefined;
    const plain = steps as readonly Exclude<Step, 'every'>[];
    if (this.#dialect === 'sqlite')
      return this.#bind(plain.reduce((path, step) => path + ('name' in step ? `."${step.name}"` : `[${step.index}]`), '$'));
    return `${this.#bind(plain.map((step) => ('name' in step ? step.name : String(step.index))))}::text[]`;
  }
}

const MIRRORED = { '==': '==', '<': '>', '<=': '>=', '>': '<', '>=': '<=' } as const satisfies Record<Ordering, Ordering>;

function isPlain(step: Step): boolean {
  return step !== 'every' && (!('name' in step) || PLAIN_NAME.test(step.name));
}

/** PostgreSQL takes no NUL, and half of a surrogate pair is no UTF-8. */
function isPortable(text: string): boolean {
  return !text.includes('\0') && text.isWellFormed();
}
