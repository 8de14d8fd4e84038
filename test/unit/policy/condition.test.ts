import { query } from 'jsonpath-rfc9535';
import { expect, test } from 'vitest';
import { conditionProblem, type Query } from '../../../src/policy/condition.ts';
import type { Condition } from '../../../src/policy/schema.ts';

const select: Query = (document, path) => query(document as Parameters<typeof query>[0], path);
const overflow: Query = () => {
  throw new RangeError('Maximum call stack size exceeded');
};
const DOCUMENT = {
  license: 'Apache-2.0',
  count: 3,
  empty: '',
  tags: ['a', 'b'],
  items: [{ uri: 'oci://x/a' }, { uri: 's3://b' }],
  when: '2026-01-02',
  object: { a: 1 },
};

test.each<[Partial<Condition> & { path: string }, string | undefined]>([
  [{ path: 'license', equals: 'Apache-2.0' }, undefined],
  [{ path: '$.license', equals: 'apache-2.0' }, '$.license is `Apache-2.0`, not `apache-2.0`'],
  [{ path: 'license', equals: 'apache-2.0', ignoreCase: true }, undefined],
  [{ path: 'license', notEquals: 'MIT' }, undefined],
  [{ path: 'license', notEquals: 'Apache-2.0' }, 'license is `Apache-2.0`, which is not allowed'],
  [{ path: 'license', in: ['MIT', 'Apache-2.0'] }, undefined],
  [{ path: 'license', in: ['MIT'] }, 'license is `Apache-2.0`, not one of `MIT`'],
  [{ path: 'license', notIn: ['Apache-2.0'] }, 'license is `Apache-2.0`, which is not allowed'],
  [{ path: 'missing', notIn: ['x'] }, 'missing is missing or empty'],
  [{ path: 'empty', exists: true }, 'empty is missing or empty'],
  [{ path: 'empty', exists: false }, undefined],
  [{ path: 'license', exists: false }, 'license is there: `Apache-2.0`'],
  [{ path: 'count', equals: 3 }, undefined],
  // a number is no text
  [{ path: 'count', equals: '3' }, 'count is `3`, not `3`'],
  [{ path: 'count', min: 3, max: 3 }, undefined],
  [{ path: 'count', min: 4 }, 'count is `3`, less than `4`'],
  [{ path: 'count', max: 2 }, 'count is `3`, more than `2`'],
  [{ path: 'count', min: '1' }, 'count is `3`, less than `1`'],
  [{ path: 'when', min: '2026-01-01', max: '2026-12-31' }, undefined],
  [{ path: 'tags', contains: 'a' }, undefined],
  [{ path: 'tags', contains: 'c' }, 'tags is `["a","b"]`, without `c`'],
  [{ path: 'license', contains: 'ache' }, undefined],
  [{ path: 'object', equals: { a: 1 } }, undefined],
  [{ path: 'license', pattern: 'Apache-*' }, undefined],
  [{ path: 'license', pattern: 'Apache' }, 'license is `Apache-2.0`, not like Apache'],
  [{ path: 'license', valueRegexp: 'Apache-[0-9.]+' }, undefined],
  // all of it, on one line
  [{ path: 'license', valueRegexp: 'Apache' }, 'license is `Apache-2.0`, not like /Apache/'],
  [{ path: 'license', valueRegexp: 'x|Apache' }, 'license is `Apache-2.0`, not like /x|Apache/'],
  [{ path: 'object', valueRegexp: '.*' }, 'object is `{"a":1}`, not like /.*/'],
  [{ path: '$..uri', pattern: 'oci://x/**' }, '$..uri is `s3://b`, not like oci://x/**'],
  [{ path: '$..uri', pattern: 'oci://x/**', match: 'any' }, undefined],
  [{ path: '$..uri', pattern: 'gs://**', match: 'any' }, '$..uri is `oci://x/a`, not like gs://**, is `s3://b`, not like gs://**'],
])('%j: %s', (condition, expected) => {
  expect(conditionProblem(condition, DOCUMENT, select)).toBe(expected);
});

test('a regular expression sees no text that is too long', () => {
  const condition = { path: 'a', valueRegexp: '(a+)+b' } as Condition;
  expect(conditionProblem(condition, { a: 'a'.repeat(5000) }, select)).toContain('not like');
});

test('a document that is nested too deeply is no document', () => {
  let deep: unknown = 1;
  for (let level = 0; level < 200_000; level += 1) deep = [deep];
  expect(conditionProblem({ path: '$..a', exists: false }, deep, overflow)).toContain('nested too deeply');
});

test('a name of the prototype is no value', () => {
  for (const path of ['constructor', '__proto__', 'toString'])
    expect(conditionProblem({ path, exists: true }, {}, select)).toBe(`${path} is missing or empty`);
});
