import { expect, test } from 'vitest';
import { expectTests, tableOf } from '../support/named-tests.ts';

const rows = tableOf('signing.md', 'Attacks').map(([attack = '', says = '', tests = '']) => ({ attack, says, tests }));

test('the table of attacks has rows, and each says something of its own', () => {
  expect(rows.length).toBeGreaterThan(25);
  const sayings = rows.map(({ says }) => says);
  expect(sayings).toEqual([...new Set(sayings)]);
});

test.each(rows)('$attack: its tests exist', ({ says, tests }) => {
  expect(says).not.toBe('');
  expectTests(tests);
});
