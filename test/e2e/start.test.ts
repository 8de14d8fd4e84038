import { spawnSync } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
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

test('the libraries of sigstore are loaded by those who sign or verify as an identity only', async () => {
  const box = await sandbox();
  await box.write({
    'm/Kitfile': 'manifestVersion: 1.0.0\npackage: {name: m}\nmodel: {path: w.bin}\n',
    'm/w.bin': 'data',
    'root.json': '{}',
    'spy.cjs': `process.on('exit', () => require('node:fs').writeFileSync(${JSON.stringify(box.path('loaded'))}, Object.keys(require.cache).join('\\n')));`,
  });
  const loads = async (args: string): Promise<boolean> => {
    await box.kit(args, { env: { NODE_OPTIONS: `--require=${box.path('spy.cjs')}`, COSIGN_PASSWORD: '' } });
    return (await readFile(box.path('loaded'), 'utf8')).includes('/@sigstore/');
  };
  for (const args of [
    'version',
    'list',
    'pack m -t m:v1',
    'unpack m:v1 -d out',
    'generate-key-pair',
    'sign m:v1 --key cosign.key',
    'verify m:v1 --key cosign.pub',
  ])
    expect([args, await loads(args)]).toEqual([args, false]);
  const identity = '--certificate-identity a --certificate-oidc-issuer b --trusted-root root.json';
  expect(await loads(`verify m:v1 ${identity}`)).toBe(true);
});

test('`version` loads no cryptography, no schemas, no transport', async () => {
  const box = await sandbox();
  await box.write({
    'spy.cjs': `process.on('exit', () => require('node:fs').writeFileSync(${JSON.stringify(box.path('loaded'))}, [...process.moduleLoadList, ...Object.keys(require.cache)].join('\\n')));`,
  });
  const loads = async (args: string): Promise<string> => {
    await box.ok(args, { env: { NODE_OPTIONS: `--require=${box.path('spy.cjs')}` } });
    return await readFile(box.path('loaded'), 'utf8');
  };
  const heavy = /NativeModule (?:crypto|tls|http|net)$|\/chunks\/(?:schemas|_undici)\.cjs$/m;
  expect(await loads('version')).not.toMatch(heavy);
  // the names are what they are called
  expect(await loads('list')).toMatch(heavy);
});
