import { chmod, mkdir, readdir, readFile, symlink } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { type Sandbox, sandbox } from '../support/kit.ts';

const isRoot = process.getuid?.() === 0;
const NOBODY = 65534;
const KITFILE = `manifestVersion: 1.0.0
model:
  path: model
code:
  - path: src
docs:
  - path: README.md
`;

async function packed(): Promise<Sandbox> {
  const box = await sandbox();
  await box.write({ 'in/Kitfile': KITFILE, 'in/model/a.bin': 'weights', 'in/src/run.sh': '#!/bin/sh\n', 'in/README.md': 'read me\n' });
  await box.ok('pack in -t mine:v1');
  return box;
}

test('what is not there: a tag, a repository, a digest', async () => {
  const box = await packed();
  expect(await box.kit('unpack mine:v2')).toMatchInlineSnapshot(`
    exit 3
    --- stderr
    error: mine:v2 is not in local storage

    hint: tags of mine: v1
  `);
  expect(await box.kit('inspect other')).toMatchInlineSnapshot(`
    exit 3
    --- stderr
    error: other is not in local storage

    hint: run \`kit list\` to see what the store holds
  `);
  expect(await box.kit(`info mine@sha256:${'0'.repeat(64)}`)).toMatchInlineSnapshot(`
    exit 3
    --- stderr
    error: mine@sha256:000000000000… is not in local storage

    hint: tags of mine: v1
  `);
  expect(await box.kit('tag mine:v2 mine:v3')).toMatchInlineSnapshot(`
    exit 3
    --- stderr
    error: mine:v2 is not in local storage

    hint: tags of mine: v1
  `);
  expect(await box.kit('push mine:v2 localhost:9/mine:v2')).toMatchInlineSnapshot(`
    exit 3
    --- stderr
    error: mine:v2 is not in local storage

    hint: tags of mine: v1
  `);
  expect(await box.kit('remove mine:v2')).toMatchInlineSnapshot(`
    exit 3
    --- stderr
    error: mine:v2 is not in the store

    hint: tags of mine: v1
  `);
  expect(await box.kit('diff mine:v1 mine:v2')).toMatchInlineSnapshot(`
    exit 3
    --- stderr
    error: mine:v2 is not in local storage

    hint: tags of mine: v1
  `);
  expect(await box.kit('unpack oci:missing:v1')).toMatchInlineSnapshot(`
    exit 3
    --- stderr
    error: there is no image layout at missing: the directory does not exist

    hint: check the path after \`oci:\`
  `);
  expect(await box.kit('unpack oci-archive:missing.tar:v1')).toMatchInlineSnapshot(`
    exit 3
    --- stderr
    error: there is no archive missing.tar

    hint: check the path
  `);
  expect(await box.kit('info mine:v1 -f model.weights')).toMatchInlineSnapshot(`
    exit 3
    --- stderr
    error: cannot find \`model.weights\` in the Kitfile

    hint: there is: path
  `);
  expect(await box.kit('unpack mine:v1 --filter datasets')).toMatchInlineSnapshot(`
    exit 3
    --- stderr
    error: the filter \`datasets\` matches nothing; there is:
      kitfile
      model:model
      code:src
      docs:README.md

    hint: \`kit files REFERENCE\` lists what there is
  `);
  expect(await box.kit('unpack mine:v1 -d out -f model:nothing')).toMatchInlineSnapshot(`
    exit 3
    --- stderr
    error: the filter \`model:nothing\` matches nothing; there is:
      kitfile
      model:model
      code:src
      docs:README.md

    hint: \`kit files REFERENCE\` lists what there is
  `);
});

test('files in the way: refused, replaced or kept', async () => {
  const box = await packed();
  await box.write({ 'out/model/a.bin': 'mine', 'out/other.txt': 'other' });
  expect(await box.kit('unpack mine:v1 -d out')).toMatchInlineSnapshot(`
    exit 1
    --- stderr
    error: <TMP>/out/model/a.bin already exists

    hint: use \`--overwrite\` to replace files, \`--ignore-existing\` to keep them, or \`--dir\` to unpack elsewhere
  `);
  // nothing of the others was written either
  expect(await box.tree('out')).toEqual(['model/', 'model/a.bin', 'other.txt']);
  await box.ok('unpack mine:v1 -d out -i');
  expect(await readFile(box.path('out/model/a.bin'), 'utf8')).toBe('mine');
  expect(await box.tree('out')).toEqual(['Kitfile', 'README.md', 'model/', 'model/a.bin', 'other.txt', 'src/', 'src/run.sh']);
  await box.ok('unpack mine:v1 -d out -o');
  expect(await readFile(box.path('out/model/a.bin'), 'utf8')).toBe('weights');
  expect(await readFile(box.path('out/other.txt'), 'utf8')).toBe('other');
});

test('a Kitfile that says something else is in the way, one that says the same is not', async () => {
  const box = await packed();
  await box.write({ 'out/Kitfile': `# with a comment\n${KITFILE}` });
  expect(await box.kit('unpack mine:v1 -d out --filter kitfile')).toMatchInlineSnapshot(`
    exit 0
    --- stdout
    Unpacking to <TMP>/out
    Found existing Kitfile at <TMP>/out/Kitfile
  `);
  expect(await readFile(box.path('out/Kitfile'), 'utf8')).toContain('# with a comment');
  await box.write({ 'out/Kitfile': 'manifestVersion: 1.0.0\npackage: {name: other}\n' });
  expect(await box.kit('unpack mine:v1 -d out --filter kitfile')).toMatchInlineSnapshot(`
    exit 1
    --- stderr
    error: <TMP>/out/Kitfile exists and does not match the ModelKit's Kitfile

    hint: use \`--overwrite\` to replace it, \`--ignore-existing\` to keep it, or \`--dir\` to unpack elsewhere
  `);
  await box.ok('unpack mine:v1 -d out --filter kitfile -i');
  expect(await readFile(box.path('out/Kitfile'), 'utf8')).toContain('other');
  await box.ok('unpack mine:v1 -d out --filter kitfile -o');
  expect(await readFile(box.path('out/Kitfile'), 'utf8')).toBe(KITFILE);
});

test('a target that is a file, or holds a file where a folder must be, or a link', async () => {
  const box = await packed();
  await box.write({ file: 'x', 'out/model': 'a file', 'linked/x': 'x', 'elsewhere/y': 'y' });
  expect(await box.kit('unpack mine:v1 -d file')).toMatchInlineSnapshot(`
    exit 1
    --- stderr
    error: file is not a directory

    hint: name another directory with \`--dir\`
  `);
  expect(await box.kit('unpack mine:v1 -d out -o')).toMatchInlineSnapshot(`
    exit 1
    --- stderr
    error: <TMP>/out/model is not a directory, where one is to be written

    hint: remove it, or unpack into another directory with \`--dir\`
  `);
  await symlink('../elsewhere', box.path('linked/model'));
  expect(await box.kit('unpack mine:v1 -d linked -o')).toMatchInlineSnapshot(`
    exit 6
    --- stderr
    error: <TMP>/linked/model is a symbolic link out of the directory, to <TMP>/elsewhere

    hint: remove the link, or unpack into another directory with \`--dir\`
  `);
  expect(await box.tree('elsewhere')).toEqual(['y']);
  expect((await readdir(box.path('linked'))).toSorted()).toEqual(['model', 'x']);
});

test.skipIf(!isRoot)('a target that may not be written', async () => {
  const box = await packed();
  await mkdir(box.path('out'));
  await chmod(box.root, 0o755);
  // the store may be read by anybody
  for (const path of await box.tree('home')) await chmod(box.path('home', path), 0o755);
  await chmod(box.path('home'), 0o755);
  expect(await box.kit('unpack mine:v1 -d out', { uid: NOBODY })).toMatchInlineSnapshot(`
    exit 1
    --- stderr
    error: out: permission denied

    hint: check the permissions: \`ls -ld out\`
  `);
  expect(await box.tree('out')).toEqual([]);
});
