import { symlinkSync } from 'node:fs';
import { expect, test } from 'vitest';
import { importModel, inspect, pack, parseLocation } from '../../../src/index.ts';
import { workspace } from './sandbox.ts';

const destination = parseLocation('m:v1');
const KITFILE = 'manifestVersion: 1.0.0\nmodel: {path: ""}\n';

test.each(['pack', 'import'])('%s: a model with an empty path is no layer', async (how) => {
  const space = workspace();
  space.write({ 'in/Kitfile': KITFILE, 'in/w.bin': 'weights' });
  if (how === 'pack') await pack(space.kit, { directory: space.path('in'), destination });
  else await importModel(space.kit, { source: space.path('in'), destination, kitfile: { text: KITFILE, file: 'Kitfile' } });
  const { manifest } = await inspect(space.kit, destination, 'local');
  expect(manifest).toMatchObject({ layers: [] });
});

test('a layer of empty files is warned of', async () => {
  const space = workspace();
  space.write({ 'in/Kitfile': 'manifestVersion: 1.0.0\nmodel: {path: w.bin}\n', 'in/w.bin': '' });
  await pack(space.kit, { directory: space.path('in'), destination }, space.call);
  expect(space.events).toContainEqual({
    type: 'warning',
    code: 'LAYER_EMPTY',
    message: 'model layer with path w.bin holds no bytes: its files are empty',
  });
});

test('a link that leads nowhere comes with what to do about it, not about the Kitfile', async () => {
  const space = workspace();
  space.write({ 'in/Kitfile': 'manifestVersion: 1.0.0\nmodel: {path: .}\n' });
  symlinkSync('nowhere', space.path('in/link'));
  await expect(pack(space.kit, { directory: space.path('in'), destination })).rejects.toMatchObject({
    code: 'PATH_UNSUPPORTED',
    hint: 'remove the link, or add it to .kitignore',
  });
});
