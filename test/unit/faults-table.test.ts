import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const root = join(import.meta.dirname, '..', '..');
const [, section = ''] = /\n## Faults\n(.*?)(?=\n## |$)/s.exec(readFileSync(join(root, 'docs', 'registries.md'), 'utf8')) ?? [];
const rows = section
  .split('\n')
  .filter((line) => line.startsWith('| ') && !line.startsWith('| fault |'))
  .map((line) => line.split('|').slice(1, -1))
  .map((cells) => ({ fault: cells[0]?.trim() ?? '', exit: cells[3]?.trim() ?? '', tests: cells[4] ?? '' }));

test('the table of faults has rows', () => {
  expect(rows.length).toBeGreaterThan(40);
});

test.each(rows)('$fault: its exit status is one, and its tests exist', ({ exit, tests }) => {
  expect(exit).toMatch(/^(?:[0-6]|130|0, 5|by status)$/);
  const named = [...tests.matchAll(/`([^`]+)` "([^"]+)"/g)];
  expect(named.length).toBeGreaterThan(0);
  // nothing but tests stands there
  expect(
    tests
      .replaceAll(/`[^`]+` "[^"]+"/g, '')
      .replaceAll(';', '')
      .trim(),
  ).toBe('');
  for (const [, file = '', title = ''] of named) {
    const path = join(root, 'test', file);
    expect(existsSync(path), file).toBe(true);
    // as the name of a test or of a group, or of one line of its table
    const text = readFileSync(path, 'utf8');
    const found = ["'", '"', '`'].some((quote) => text.includes(quote + title + quote));
    expect(found, `${file}: ${title}`).toBe(true);
  }
});
