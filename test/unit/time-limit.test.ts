import { describe, expect, test } from 'vitest';
import { withTimeLimit } from '../../src/time-limit.ts';

const forever = (): void => void /^(a+)+$/.test(`${'a'.repeat(64)}b`);
const what = (): string => 'expression `x`';

describe('what takes for ever is broken off', () => {
  test('a regular expression', () => {
    expect(() => withTimeLimit(forever, 'QUERY_INVALID', what, 50)).toThrow(
      expect.objectContaining({ code: 'QUERY_INVALID', message: 'expression `x` takes more than 0.05 s to evaluate' }),
    );
  });

  test('other failures pass', () => {
    expect(() => withTimeLimit(() => void JSON.parse('{'), 'QUERY_INVALID', what)).toThrow(SyntaxError);
  });
});
