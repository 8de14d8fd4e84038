import { readFile } from 'node:fs/promises';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { sandbox } from '../support/kit.ts';
import { startRegistry, type TestRegistry } from '../support/registry.ts';
import { release } from './readme-example.ts';

let registry: TestRegistry;
beforeEach(async () => {
  registry = await startRegistry({ auth: { type: 'basic', username: 'alice', password: 'secret' } });
});
afterEach(async () => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
  await registry.close();
});

test('the example of the README packs, pushes and unpacks with the built package', async () => {
  const box = await sandbox();
  await box.write({ 'in/Kitfile': 'manifestVersion: 1.0.0\nmodel: {path: m}\ncode: [{path: c}]\n', 'in/m': 'weights\n', 'in/c': 'code\n' });
  vi.stubEnv('KIT_HOME', box.home);
  vi.stubEnv('DOCKER_CONFIG', box.path('docker'));
  const printed = vi.spyOn(console, 'error').mockImplementation(() => {});
  const reference = `${registry.host}/team/mine:v1`;

  await expect(release(box.path('in'), reference, box.path('out'))).rejects.toMatchObject({ code: 'UNAUTHORIZED', exitCode: 4 });
  expect(printed.mock.lastCall).toEqual([expect.stringContaining(registry.host), expect.stringContaining('kit login')]);

  const auth = Buffer.from('alice:secret').toString('base64');
  await box.write({ 'docker/config.json': JSON.stringify({ auths: { [registry.host]: { auth } } }) });
  const digest = await release(box.path('in'), reference, box.path('out'));
  expect(registry.storage.find('team/mine')?.tags.get('v1')).toBe(digest);
  expect(await box.tree('out')).toEqual(['m']);
  expect(await readFile(box.path('out/m'), 'utf8')).toBe('weights\n');
});
