import { expect, test } from 'vitest';
import { expectTests, tableOf } from '../support/named-tests.ts';

const rows = tableOf('registries.md', 'Faults').map(([fault = '', , , exit = '', tests = '']) => ({ fault, exit, tests }));

test('the table of faults has rows', () => {
  expect(rows.length).toBeGreaterThan(40);
});

test.each(rows)('$fault: its exit status is one, and its tests exist', ({ exit, tests }) => {
  expect(exit).toMatch(/^(?:[0-6]|130|0, 5|by status)$/);
  expectTests(tests);
});
