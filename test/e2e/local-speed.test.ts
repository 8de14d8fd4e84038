import { statSync } from 'node:fs';
import { readFile, stat, utimes, writeFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { type Sandbox, sandbox } from '../support/kit.ts';

const KITFILE = 'manifestVersion: 1.0.0\npackage: {name: m}\nmodel: {path: model.bin}\ncode:\n  - path: run.sh\n';
const V1 = 'a'.repeat(300_000);
const V2 = 'b'.repeat(300_000);

async function model(): Promise<Sandbox> {
  const box = await sandbox();
  await box.write({ 'src/Kitfile': KITFILE, 'src/model.bin': V1, 'src/run.sh': '#!/bin/sh\n' });
  return box;
}

test('a file that was changed behind its time is packed anew', async () => {
  const box = await model();
  const first = await box.ok('pack src -t m:1');
  expect(await box.ok('pack src -t m:1')).toContain('Already saved model layer');
  const { atime, mtime } = await stat(box.path('src/model.bin'));
  await writeFile(box.path('src/model.bin'), V2);
  await utimes(box.path('src/model.bin'), atime, mtime);
  expect(await box.ok('pack src -t m:2')).not.toBe(first);
  await box.ok('unpack m:2 -d out');
  expect(await readFile(box.path('out/model.bin'), 'utf8')).toBe(V2);
});

test('links share the blob, read-only; programs are copied', async () => {
  const box = await model();
  await box.ok('pack src -t m:1 --layer-format raw');
  const run = await box.kit('unpack m:1 -d out --link');
  expect(run).toMatchInlineSnapshot(`
    exit 0
    --- stdout
    Unpacking to <TMP>/out
    Unpacking config to <TMP>/out/Kitfile
    Unpacking model to model.bin
    Unpacking code to run.sh
    --- stderr
    warning: 1 of 2 files were copied: only raw layers in local storage are linked, on its file system, if not executable
  `);
  const linked = statSync(box.path('out/model.bin'));
  expect(linked.nlink).toBe(2);
  expect(linked.mode & 0o777).toBe(0o444);
  expect(statSync(box.path('out/run.sh')).mode & 0o777).toBe(0o755);
  expect(await readFile(box.path('out/model.bin'), 'utf8')).toBe(V1);
});

test('what cannot be linked is copied, and said', async () => {
  const box = await model();
  await box.ok('pack src -t m:1');
  const run = await box.kit('unpack m:1 -d out --link');
  expect(run).toMatchInlineSnapshot(`
    exit 0
    --- stdout
    Unpacking to <TMP>/out
    Unpacking config to <TMP>/out/Kitfile
    Unpacking model to model.bin
    Unpacking code to run.sh
    --- stderr
    warning: 2 of 2 files were copied: only raw layers in local storage are linked, on its file system, if not executable
  `);
  expect(statSync(box.path('out/model.bin')).nlink).toBe(1);
});

test('a reader of stderr that goes away does not stop the work', async () => {
  const box = await model();
  const { child, finished } = box.start('pack src -t m:1 --progress json');
  child.stderr.destroy();
  expect((await finished).status).toBe(0);
  expect(await box.ok('list')).toContain('m');
});
