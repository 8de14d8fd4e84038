import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';

const ROOT = join(import.meta.dirname, '..', '..');

/** The rows of the table in the section `title` of a page of the documentation, without its head, by cell. */
export function tableOf(page: string, title: string): string[][] {
  const text = readFileSync(join(ROOT, 'docs', page), 'utf8');
  const [, section = ''] = new RegExp(`\\n## ${title}\\n(.*?)(?=\\n## |$)`, 's').exec(text) ?? [];
  const [, , ...rows] = section.split('\n').filter((line) => line.startsWith('|'));
  return rows.map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

/** Holds that a cell names tests that exist, and nothing besides: `` `e2e/verify.test.ts` "its name"; ... ``. */
export function expectTests(cell: string): void {
  const named = [...cell.matchAll(/`([^`]+)` "([^"]+)"/g)];
  expect(named.length).toBeGreaterThan(0);
  expect(cell.replaceAll(/`[^`]+` "[^"]+"/g, '').replaceAll(/[;\s]/g, '')).toBe('');
  for (const [, file = '', title = ''] of named) {
    const path = join(ROOT, 'test', file);
    expect(existsSync(path), file).toBe(true);
    // as the name of a test or of a group, or of one line of its table
    const text = readFileSync(path, 'utf8');
    const found = ["'", '"', '`'].some((quote) => text.includes(quote + title + quote));
    expect(found, `${file}: ${title}`).toBe(true);
  }
}
