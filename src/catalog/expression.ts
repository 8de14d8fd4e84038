import type { FieldPath } from './field-path.ts';

export type Scalar = string | number | bigint | boolean | null;

export type Operand =
  | { readonly type: 'field'; readonly field: FieldPath }
  | { readonly type: 'value'; readonly value: Scalar }
  | { readonly type: 'list'; readonly values: readonly Scalar[] };

export type Ordering = '==' | '<' | '<=' | '>' | '>=';

/** What is asked of each document. `a != b` is `!(a == b)`, and `a !~ b` is `!(a =~ b)`. */
export type Expression =
  | { readonly type: 'and' | 'or'; readonly items: readonly Expression[] }
  | { readonly type: 'not'; readonly item: Expression }
  /** The field is there, and neither null nor false. */
  | { readonly type: 'present'; readonly field: FieldPath }
  | { readonly type: 'compare'; readonly operator: Ordering; readonly left: Operand; readonly right: Operand }
  | { readonly type: 'match'; readonly field: FieldPath; readonly pattern: RegExp }
  | { readonly type: 'in'; readonly left: Operand; readonly right: Operand };
