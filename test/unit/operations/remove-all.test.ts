import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { pack, parseLocation, removeAll, sign, verify } from '../../../src/index.ts';
import { setUpSigning } from '../signing/operations-setup.ts';

test('remove --all leaves the signature of a ModelKit with a tag', async () => {
  const { kit, home, signer, verifier } = await setUpSigning();
  const directory = join(home, 'model');
  await mkdir(directory);
  await writeFile(join(directory, 'w.bin'), 'first');
  await writeFile(join(directory, 'Kitfile'), 'manifestVersion: 1.0.0\npackage: {name: m}\nmodel: {path: w.bin}\n');
  const location = parseLocation('m:v1');
  const old = await pack(kit, { directory, destination: location });
  await sign(kit, { location, signer, format: 'bundle' });
  await writeFile(join(directory, 'w.bin'), 'second');
  await pack(kit, { directory, destination: location });
  await sign(kit, { location, signer, format: 'bundle' });

  const { removed } = await removeAll(kit);
  // the first, which lost its tag, with its signature
  expect(removed.map(({ digest }) => digest)).toContain(old.digest);
  await verify(kit, { location, verifier });
  expect(await (await kit.store()).list()).toHaveLength(2);
});
