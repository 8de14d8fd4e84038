import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { errorsPage } from '../../scripts/errors-page.ts';

const root = join(import.meta.dirname, '..', '..');
const read = (path: string): string => readFileSync(join(root, path), 'utf8');

test('docs/errors.md is what `npm run docs` writes', () => {
  expect(read('docs/errors.md')).toBe(errorsPage());
});

test('the example in the README is the one that is compiled and run', () => {
  const [, example] = /```ts\n(.*?)```/s.exec(read('README.md')) ?? [];
  const [, code] = /\/\/ #begin\n(.*?)\/\/ #end/s.exec(read('test/e2e/readme-example.ts')) ?? [];
  expect(example).toBe(code);
});
