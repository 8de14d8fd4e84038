import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { tableOf } from '../support/named-tests.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const rows = tableOf('formats.md', 'Who reads what').map(([reader = '', ...cells]) => ({ reader, cells }));

test('the matrix has its readers', () => {
  expect(rows.length).toBeGreaterThan(10);
});

test.each(rows)('$reader: each cell names a test that exists, says what was seen, or why it cannot be run', ({ cells }) => {
  expect(cells).toHaveLength(6);
  for (const cell of cells) {
    const files = [...cell.matchAll(/`(test\/[^`]+)`/g)].map(([, file = '']) => file);
    expect(files.length > 0 || /^(?:by hand|no|not tried|as its source says)\b/.test(cell), cell).toBe(true);
    for (const file of files) expect(existsSync(join(ROOT, file)), file).toBe(true);
  }
});
