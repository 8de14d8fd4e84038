import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { sandbox } from '../support/kit.ts';
import { startRegistry, type TestRegistry } from '../support/registry.ts';

let registry: TestRegistry;
beforeAll(async () => {
  registry = await startRegistry();
});
afterAll(() => registry.close());

test('packs and pulls of several processes at once lose nothing', async () => {
  const box = await sandbox();
  const numbers = [1, 2, 3, 4];
  const kitfile = 'manifestVersion: 1.0.0\nmodel: {path: m}\ndocs: [{path: README.md}]\n';
  for (const number of numbers)
    await box.write({ [`in${number}/Kitfile`]: kitfile, [`in${number}/m`]: `weights ${number}\n`, [`in${number}/README.md`]: 'shared\n' });
  const elsewhere = { env: { KIT_HOME: box.path('elsewhere') } };
  for (const number of [1, 2]) await box.ok(`pack in${number} -t ${registry.host}/pulled:${number} --push`, elsewhere);

  await Promise.all([
    ...numbers.map(async (number) => await box.ok(`pack in${number} -t packed:${number}`)),
    ...[1, 2].map(async (number) => await box.ok(`pull ${registry.host}/pulled:${number}`)),
  ]);
  const rows = JSON.parse(await box.ok('list --format json')) as { repo: string; tags: string[] }[];
  const names = rows.flatMap(({ repo, tags }) => tags.map((tag) => `${repo.replace(/.*\//, '')}:${tag}`));
  expect(names.toSorted()).toEqual(['packed:1', 'packed:2', 'packed:3', 'packed:4', 'pulled:1', 'pulled:2']);
  for (const number of numbers) expect((await box.kit(`unpack packed:${number} -d out${number}`)).stderr).toBe('');
});

test('removes beside packs take nothing away from them', async () => {
  const box = await sandbox();
  await box.write({ 'in/Kitfile': 'manifestVersion: 1.0.0\nmodel: {path: m}\n', 'in/m': 'weights\n' });
  await box.ok('pack in -t old:v1');
  await Promise.all([box.ok('remove old:v1'), box.ok('pack in -t new:v1'), box.ok('pack in -t new:v2')]);
  for (const tag of ['v1', 'v2']) expect((await box.kit(`unpack new:${tag} -d ${tag}`)).stderr).toBe('');
});

test('a reader that goes away (`kit list | head -1`) is no defect and does no harm', async () => {
  const box = await sandbox();
  await box.write({ 'in/Kitfile': 'manifestVersion: 1.0.0\nmodel: {path: m}\n', 'in/m': 'weights\n' });
  const program = join(import.meta.dirname, '..', '..', 'bin', 'kit.js');
  const env = { PATH: process.env['PATH'], HOME: box.root, KIT_HOME: box.home };
  const child = spawn(process.execPath, [program, 'pack', 'in', '-t', 'mine:v1'], { cwd: box.root, env });
  child.stdout.destroy();
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const [status] = (await once(child, 'close')) as [number];
  expect([0, 1]).toContain(status);
  expect(stderr).toBe('');
  // the work was done before anything was printed
  expect(await box.ok('list')).toContain('mine');
  await box.ok('unpack mine:v1 -d out');
});
