import { spawnSync } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { sandbox } from '../support/kit.ts';

const PROGRAM = join(import.meta.dirname, '..', '..', 'bin', 'kit.js');

test('compiled code is kept in the cache folder of the user', async () => {
  const box = await sandbox();
  await box.ok('version', { env: { XDG_CACHE_HOME: box.path('cache') } });
  expect(await readdir(box.path('cache', 'ocikit', 'compile-cache'))).toHaveLength(1);
});

test('a cache folder that cannot be made does no harm', async () => {
  const box = await sandbox();
  await box.write({ file: '' });
  const run = await box.kit('version', { env: { XDG_CACHE_HOME: box.path('file') } });
  expect(run).toMatchObject({ status: 0, stderr: '' });
  expect(run.stdout).toMatch(/^Version: /);
});

test('a full disk behind stdout is an error', () => {
  const full = openSync('/dev/full', 'w');
  try {
    const run = spawnSync(process.execPath, [PROGRAM, 'version'], { stdio: ['ignore', full, 'pipe'], encoding: 'utf8' });
    expect(run.status).toBe(1);
    expect(run.stderr).toMatch(/^error: standard output cannot be written: ENOSPC/);
  } finally {
    closeSync(full);
  }
});
