import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { open, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { copyGoldenInput, type Sandbox, sandbox } from '../support/kit.ts';

const PROGRAM = join(import.meta.dirname, '..', '..', 'bin', 'kit.js');

async function packed(): Promise<Sandbox> {
  const box = await sandbox();
  await copyGoldenInput(box.path('src'));
  await box.ok('pack src -t tiny:v1');
  return box;
}

const elsewhere = (box: Sandbox) => ({ env: { KIT_HOME: box.path('elsewhere') } });

async function expectUnpacks(box: Sandbox): Promise<void> {
  await box.ok('unpack tiny:v1 -d out', elsewhere(box));
  expect(await readFile(box.path('out/config.json'))).toEqual(await readFile(box.path('src/config.json')));
}

test('a file carries ModelKits to another machine', async () => {
  const box = await packed();
  await box.ok('tag tiny:v1 ghcr.io/team/tiny:v2');
  expect(await box.kit('save tiny:v1 ghcr.io/team/tiny:v2 -o tiny.tar')).toMatchInlineSnapshot(`
    exit 0
    --- stdout
    Saved tiny:v1 sha256:1a79da52c1a9…
    Saved ghcr.io/team/tiny:v2 sha256:1a79da52c1a9…
  `);
  expect(await box.kit('load -i tiny.tar', elsewhere(box))).toMatchInlineSnapshot(`
    exit 0
    --- stdout
    Loaded ghcr.io/team/tiny:v2 sha256:1a79da52c1a9…
    Loaded tiny:v1 sha256:1a79da52c1a9…
  `);
  await expectUnpacks(box);
  expect(await box.kit('load -i tiny.tar --name mine --format json', elsewhere(box))).toMatchInlineSnapshot(`
    exit 0
    --- stdout
    [
      {
        "reference": "mine:v2",
        "digest": "sha256:1a79da52c1a9…"
      },
      {
        "reference": "mine:v1",
        "digest": "sha256:1a79da52c1a9…"
      }
    ]
  `);
});

test('a pipe does too', async () => {
  const box = await packed();
  const env = { PATH: process.env['PATH'], HOME: box.root, NO_COLOR: '1' };
  const saving = spawn(process.execPath, [PROGRAM, 'save', 'tiny:v1'], {
    env: { ...env, KIT_HOME: box.home },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const loading = spawn(process.execPath, [PROGRAM, 'load'], {
    env: { ...env, KIT_HOME: box.path('elsewhere') },
    stdio: [saving.stdout, 'ignore', 'inherit'],
  });
  const ended = await Promise.all([once(saving, 'exit'), once(loading, 'exit')]);
  expect(ended).toEqual([
    [0, null],
    [0, null],
  ]);
  await expectUnpacks(box);
});

test('a reader that goes away is an error: the archive is not whole', async () => {
  const box = await packed();
  await writeFile(box.path('src/big.bin'), Buffer.alloc(4_000_000, 1));
  await box.ok('pack src -t big:v1');
  const saving = spawn(process.execPath, [PROGRAM, 'save', 'big:v1'], {
    env: { PATH: process.env['PATH'], HOME: box.root, KIT_HOME: box.home },
  });
  saving.stderr.setEncoding('utf8');
  const stderr = saving.stderr.toArray();
  saving.stdout.once('data', () => saving.stdout.destroy());
  expect(await once(saving, 'exit')).toEqual([1, null]);
  expect((await stderr).join('')).toContain('its reader went away');
});

test('damage is noticed, and nothing gets a tag', async () => {
  const box = await packed();
  await box.ok('save tiny:v1 -o tiny.tar');
  const file = await open(box.path('tiny.tar'), 'r+');
  await file.write('x', 3000);
  await file.close();
  const fromFile = await box.kit('load -i tiny.tar', elsewhere(box));
  expect(fromFile.status).toBe(6);
  const bytes = await readFile(box.path('tiny.tar'));
  await writeFile(box.path('cut.tar'), bytes.subarray(0, 20_000));
  expect(await box.kit('load -i cut.tar', elsewhere(box))).toMatchObject({
    status: 1,
    stderr: expect.stringContaining('cut off') as string,
  });
  expect((await box.ok('list', elsewhere(box))).trim().split('\n')).toHaveLength(1);
});

test('what is refused before anything is done', async () => {
  const box = await packed();
  expect(await box.kit('save nope:v1 -o x.tar')).toMatchInlineSnapshot(`
    exit 3
    --- stderr
    error: nope:v1 is not in local storage

    hint: run \`kit list\` to see what the store holds
  `);
  expect(existsSync(box.path('x.tar'))).toBe(false);
  expect(await box.kit('save tiny:v1 --format json')).toMatchInlineSnapshot(`
    exit 2
    --- stderr
    error: --format json needs standard output, which the archive takes

    hint: name a file with \`-o FILE\`
  `);
  expect(await box.kit('save tiny:v1 -o src')).toMatchInlineSnapshot(`
    exit 2
    --- stderr
    error: src is a directory, where a file is to be written

    hint: name a file in it: \`src/model.tar\`
  `);
  expect(await box.kit('load -i none.tar')).toMatchInlineSnapshot(`
    exit 3
    --- stderr
    error: there is no archive none.tar

    hint: check the path
  `);
  expect(await box.kit('load', { stdin: '' })).toMatchInlineSnapshot(`
    exit 1
    --- stderr
    error: standard input is empty

    hint: check that what writes the archive succeeded
  `);
});

test('the ModelKit that another one is based on is saved with it', async () => {
  const box = await sandbox();
  await box.write({
    'base/Kitfile': 'manifestVersion: 1.0.0\nmodel: {path: weights}\n',
    'base/weights/w.bin': 'weights',
    'app/Kitfile': 'manifestVersion: 1.0.0\nmodel: {path: "ghcr.io/team/base:v1"}\ncode: [{path: app.py}]\n',
    'app/app.py': 'app',
  });
  await box.ok('pack base -t ghcr.io/team/base:v1');
  await box.ok('pack app -t app:v1');
  expect(await box.kit('save app:v1 -o app.tar')).toMatchInlineSnapshot(`
    exit 0
    --- stdout
    Saved app:v1 sha256:fb909009b69e…
    Saved ghcr.io/team/base:v1 sha256:05ddb68a1371… (needed by app:v1)
  `);
  await box.ok('load -i app.tar', elsewhere(box));
  await box.ok('unpack app:v1 -d out', elsewhere(box));
  expect(await readFile(box.path('out/weights/w.bin'), 'utf8')).toBe('weights');
});
