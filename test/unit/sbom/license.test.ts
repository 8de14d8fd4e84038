import { expect, test } from 'vitest';
import { readLicense } from '../../../src/sbom/license.ts';
import { licenseIds } from './schemas.ts';

test.each([
  ['apache-2.0', 'Apache-2.0'],
  ['MIT', 'MIT'],
  [' gpl-3.0-only ', 'GPL-3.0-only'],
  ['odbl', 'ODbL-1.0'],
  ['cc-by-nc-4.0', 'CC-BY-NC-4.0'],
])('%s is %s', (text, id) => {
  expect(readLicense(text)).toEqual({ kind: 'id', id });
  expect(licenseIds()).toContain(id);
});

test.each([
  ['mit OR apache-2.0', 'MIT OR Apache-2.0'],
  ['(MIT AND isc) OR Apache-2.0', '(MIT AND ISC) OR Apache-2.0'],
])('%s is an expression', (text, expression) => {
  expect(readLicense(text)).toEqual({ kind: 'expression', expression });
});

test.each(['llama3.1', 'other', 'MIT OR', 'MIT MIT', 'MIT OR (ISC', 'MIT or ISC', 'see LICENSE', 'MIT WITH x', '__proto__', 'constructor'])(
  '%s stays a name',
  (name) => {
    expect(readLicense(name)).toEqual({ kind: 'name', name });
  },
);

test('whatever is recognised is on the list of SPDX, in its letters', () => {
  const known = [...licenseIds()].flatMap((id) => {
    const found = readLicense(id.toLowerCase());
    return found.kind === 'id' ? [[id, found.id]] : [];
  });
  expect(known.length).toBeGreaterThan(60);
  expect(known.filter(([listed, id]) => listed !== id)).toEqual([]);
});
