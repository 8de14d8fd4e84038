import { KitError } from '../errors.ts';
import type { Expression, Operand, Ordering, Scalar } from './expression.ts';
import { type FieldPath, readField } from './field-path.ts';
import { invalid, type Token, tokenize } from './tokens.ts';

const MAX_DEPTH = 64;
const MAX_PATTERN = 1000;
const ORDERINGS: ReadonlySet<string> = new Set(['==', '!=', '<', '<=', '>', '>=']);
const CONSTANTS: ReadonlyMap<string, Scalar> = new Map<string, Scalar>([
  ['true', true],
  ['false', false],
  ['null', null],
]);
/** What people write who come from other languages. */
const SYNONYMS: Readonly<Record<string, string>> = { and: '&&', or: '||', not: '!' };

export interface ParsedExpression {
  readonly expression: Expression;
  /** Every field that is named, in that order. */
  readonly fields: readonly FieldPath[];
}

/** The comparison language: docs/query.md. @throws KitError QUERY_INVALID with the place, and the nearest name for a field that is unknown */
export function parseExpression(text: string): ParsedExpression {
  const parser = new Parser(text);
  return { expression: parser.whole(), fields: parser.fields };
}

class Parser {
  readonly fields: FieldPath[] = [];
  readonly #text: string;
  readonly #tokens: readonly Token[];
  #at = 0;
  #depth = 0;

  constructor(text: string) {
    this.#text = text;
    this.#tokens = tokenize(text);
  }

  whole(): Expression {
    const first = this.#token;
    if (first.type === 'end')
      throw new KitError('QUERY_INVALID', 'the expression is empty', {
        hint: 'for example `model.parameters.accuracy > 0.9`; `true` is true of all',
      });
    const expression = this.#either();
    const rest = this.#token;
    if (rest.type === 'end') return expression;
    const meant = SYNONYMS[rest.source];
    throw this.#invalid(
      `\`${rest.source}\` comes where the expression could end`,
      meant === undefined ? 'join conditions with && or ||' : `write ${meant}`,
    );
  }

  get #token(): Token {
    return this.#tokens[this.#at] as Token;
  }

  #either(): Expression {
    return this.#joined('or', '||', () => this.#joined('and', '&&', () => this.#unary()));
  }

  #joined(type: 'and' | 'or', operator: string, item: () => Expression): Expression {
    const first = item();
    const items = [first];
    while (this.#takes(operator)) items.push(item());
    return items.length === 1 ? first : { type, items };
  }

  #unary(): Expression {
    this.#depth += 1;
    if (this.#depth > MAX_DEPTH) throw this.#invalid(`more than ${MAX_DEPTH} levels`);
    const expression = this.#takes('!') ? ({ type: 'not', item: this.#unary() } as const) : this.#primary();
    this.#depth -= 1;
    return expression;
  }

  #primary(): Expression {
    if (this.#takes('(')) {
      const inner = this.#either();
      this.#needs(')');
      return inner;
    }
    const start = this.#token;
    const left = this.#operand();
    const operator = this.#token.source;
    if (this.#token.type === 'operator' && ORDERINGS.has(operator)) {
      this.#at += 1;
      return this.#comparison(left, operator, this.#operand());
    }
    if (operator === '=~' || operator === '!~') return this.#match(left, start);
    if (this.#token.type === 'name' && operator === 'in') {
      this.#at += 1;
      return this.#membership(left);
    }
    if (left.type === 'field') return { type: 'present', field: left.field };
    // `true` is true of everything
    if (left.type === 'value' && typeof left.value === 'boolean')
      return { type: 'compare', operator: '==', left, right: { type: 'value', value: true } };
    throw this.#invalid('an operator has to follow', 'one of == != < <= > >= =~ !~ in');
  }

  #comparison(left: Operand, operator: string, right: Operand): Expression {
    if (operator === '!=') return { type: 'not', item: { type: 'compare', operator: '==', left, right } };
    return { type: 'compare', operator: operator as Ordering, left, right };
  }

  #match(left: Operand, start: Token): Expression {
    const isNegated = this.#token.source === '!~';
    this.#at += 1;
    if (left.type !== 'field') throw invalid(this.#text, start.at, 'a field has to stand before =~');
    const token = this.#token;
    if (token.type !== 'text') throw this.#invalid('a pattern in quotes has to follow =~', 'for example model.name =~ "^llama-[0-9]+b$"');
    this.#at += 1;
    const match = { type: 'match', field: left.field, pattern: this.#pattern(token) } as const;
    return isNegated ? { type: 'not', item: match } : match;
  }

  #pattern({ value, at }: Token): RegExp {
    // as RE2 and Go have it: flags at the beginning
    const [, flags = '', source = ''] = /^(?:\(\?([ims]+)\))?(.*)$/s.exec(String(value)) ?? [];
    if (source.length > MAX_PATTERN)
      throw invalid(this.#text, at, `the pattern has ${source.length} characters, the limit is ${MAX_PATTERN}`);
    try {
      return new RegExp(source, `u${[...new Set(flags)].join('')}`);
    } catch (cause) {
      throw invalid(this.#text, at, `this is no regular expression: ${(cause as Error).message.replace(/^.*\/: /s, '')}`);
    }
  }

  #membership(left: Operand): Expression {
    const token = this.#token;
    const right = this.#takes('[') ? this.#list() : this.#operand();
    if (right.type === 'value')
      throw invalid(this.#text, token.at, 'a field or a list has to follow `in`', 'for example model.license in ["MIT", "Apache-2.0"]');
    return { type: 'in', left, right };
  }

  #list(): Operand {
    const values: Scalar[] = [];
    while (!this.#takes(']')) {
      if (values.length > 0) this.#needs(',');
      const operand = this.#operand();
      if (operand.type !== 'value') throw this.#invalid('a list holds texts, numbers, true, false and null');
      values.push(operand.value);
    }
    return { type: 'list', values };
  }

  #operand(): Operand {
    const token = this.#token;
    if (token.type === 'text' || token.type === 'number') {
      this.#at += 1;
      return { type: 'value', value: token.value };
    }
    if (token.type !== 'name')
      throw this.#invalid(token.type === 'end' ? 'something is missing at the end' : `\`${token.source}\` cannot stand here`);
    const constant = CONSTANTS.get(token.source);
    if (constant !== undefined) {
      this.#at += 1;
      return { type: 'value', value: constant };
    }
    const { field, next } = readField(this.#text, this.#tokens, this.#at);
    this.#at = next;
    this.fields.push(field);
    return { type: 'field', field };
  }

  #takes(operator: string): boolean {
    if (this.#token.type !== 'operator' || this.#token.source !== operator) return false;
    this.#at += 1;
    return true;
  }

  #needs(operator: string): void {
    if (!this.#takes(operator)) throw this.#invalid(`\`${operator}\` is missing`);
  }

  #invalid(why: string, hint?: string): Error {
    return invalid(this.#text, this.#token.at, why, hint);
  }
}
