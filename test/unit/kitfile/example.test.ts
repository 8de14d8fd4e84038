import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

import { parseKitfile } from '../../../src/kitfile/parse.ts';
import { knownFieldsOf, strictKitfile } from '../../../src/kitfile/schema.ts';
import { kitfileWarnings, validateKitfile } from '../../../src/kitfile/validate.ts';

const text = readFileSync(new URL('../../../Kitfile.example', import.meta.url), 'utf8');
const { kitfile, locate } = parseKitfile(text, 'Kitfile.example');

it('Kitfile.example is valid', () => {
  validateKitfile(kitfile, 'Kitfile.example', locate);
  expect(kitfileWarnings(kitfile)).toStrictEqual([]);
});

it.each([
  [[], [kitfile]],
  [['package'], [kitfile.package]],
  [['model'], [kitfile.model]],
  [['model', 'parts', 0], kitfile.model?.parts],
  [['code', 0], kitfile.code],
  [['datasets', 0], kitfile.datasets],
  [['docs', 0], kitfile.docs],
  [['prompts', 0], kitfile.prompts],
  [['mcpServers', 0], kitfile.mcpServers],
])('Kitfile.example shows every field of %j', (path, values) => {
  const shown = new Set((values ?? []).flatMap((value) => Object.keys(value ?? {})));
  // one model cannot have both
  const commented = path[0] === 'model' && path.length === 1 ? [...text.matchAll(/^  # (\w+): /gm)].map(([, name = '']) => name) : [];
  for (const name of commented) shown.add(name);
  const known = knownFieldsOf(strictKitfile, path);
  expect(known.length).toBeGreaterThan(0);
  expect([...shown].toSorted()).toStrictEqual(known.toSorted());
});
