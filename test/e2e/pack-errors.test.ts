import { spawnSync } from 'node:child_process';
import { chmod, mkdir, rm, symlink } from 'node:fs/promises';
import { createServer } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { type Sandbox, sandbox } from '../support/kit.ts';

const isRoot = process.getuid?.() === 0;
const NOBODY = 65534;
const KITFILE = 'manifestVersion: 1.0.0\nmodel:\n  path: model\n';

async function withModel(files: Readonly<Record<string, string>> = {}): Promise<Sandbox> {
  const box = await sandbox();
  await box.write({ 'src/Kitfile': KITFILE, 'src/model/a.bin': 'a', ...files });
  return box;
}

test('a missing directory, a missing Kitfile, a Kitfile that is none', async () => {
  const box = await sandbox();
  await box.write({ 'empty/x': '', file: '' });
  await mkdir(box.path('odd/Kitfile'), { recursive: true });
  expect(await box.kit('pack missing')).toMatchInlineSnapshot(`
    exit 3
    --- stderr
    error: missing does not exist

    hint: \`ls <TMP>\` shows what there is
  `);
  expect(await box.kit('pack file')).toMatchInlineSnapshot(`
    exit 3
    --- stderr
    error: file is not a directory

    hint: check the path: relative ones begin at the working directory
  `);
  expect(await box.kit('pack empty')).toMatchInlineSnapshot(`
    exit 3
    --- stderr
    error: no Kitfile found in empty

    hint: \`kit init empty\` writes one; \`--file\` names another
  `);
  expect(await box.kit('pack odd')).toMatchInlineSnapshot(`
    exit 1
    --- stderr
    error: odd/Kitfile is a directory where a file is expected

    hint: check the path and its permissions: \`ls -ld PATH\`
  `);
  expect(await box.kit('pack empty -f missing.yaml')).toMatchInlineSnapshot(`
    exit 3
    --- stderr
    error: missing.yaml does not exist

    hint: \`ls <TMP>\` shows what there is
  `);
});

test('another Kitfile is looked up in the directory first, as kit does, then here', async () => {
  const box = await withModel({
    Other: 'manifestVersion: 1.0.0\npackage: {name: here}\n',
    'src/Other': 'manifestVersion: 1.0.0\npackage: {name: inside}\n',
    Third: 'manifestVersion: 1.0.0\npackage: {name: third}\n',
  });
  await box.ok('pack src -f Other -t a:v1');
  expect(await box.ok('info a:v1 -f package.name')).toBe('inside\n');
  await box.ok('pack src -f Third -t a:v1');
  expect(await box.ok('info a:v1 -f package.name')).toBe('third\n');
});

test('a Kitfile that breaks the rules is shown by line and column', async () => {
  const box = await sandbox();
  await box.write({
    'yaml/Kitfile': 'manifestVersion: 1.0.0\nmodel: {path: [\n',
    'unknown/Kitfile': 'manifestVersion: 1.0.0\nmodel:\n  path: m\n  framwork: pytorch\n',
    'twice/Kitfile': 'manifestVersion: 1.0.0\nmodel:\n  path: m\n  path: n\n',
    'type/Kitfile': 'manifestVersion: 1.0.0\ndatasets: train.csv\n',
    'binary/Kitfile': Buffer.from([0xff, 0xfe, 0x00]),
  });
  expect(await box.kit('pack yaml')).toMatchInlineSnapshot(`
    exit 2
    --- stderr
    error: yaml/Kitfile:3:1: not valid YAML: deficient indentation
      3 | 
        | ^

    hint: check the indentation, quotes and colons around this place
  `);
  expect(await box.kit('pack unknown')).toMatchInlineSnapshot(`
    exit 2
    --- stderr
    error: unknown/Kitfile:4:3: unknown field \`framwork\` in \`model\`
      4 |   framwork: pytorch
        |   ^

    hint: did you mean \`framework\`? allowed here: name, path, license, framework, format, version, description, parts, parameters, remotePath, remoteHash
  `);
  expect(await box.kit('pack twice')).toMatchInlineSnapshot(`
    exit 2
    --- stderr
    error: twice/Kitfile:4:3: duplicate key \`path\`, already given in line 3
      4 |   path: n
        |   ^

    hint: correct the Kitfile; \`kit init DIRECTORY\` makes one
  `);
  expect(await box.kit('pack type')).toMatchInlineSnapshot(`
    exit 2
    --- stderr
    error: type/Kitfile:2:11: \`datasets\` must be a list, found the text \`train.csv\`
      2 | datasets: train.csv
        |           ^

    hint: correct the Kitfile; \`kit init DIRECTORY\` makes one
  `);
  expect(await box.kit('pack binary')).toMatchInlineSnapshot(`
    exit 2
    --- stderr
    error: binary/Kitfile is not UTF-8 text

    hint: correct the Kitfile; \`kit init DIRECTORY\` makes one
  `);
  expect(await box.kit('pack yaml -f -', { stdin: 'model: 1\n' })).toMatchInlineSnapshot(`
    exit 2
    --- stderr
    error: stdin:1:8: \`model\` must be a map, found the text \`1\`
      1 | model: 1
        |        ^

    hint: correct the Kitfile; \`kit init DIRECTORY\` makes one
  `);
});

test('a path that is missing or outside, and a link that leads out', async () => {
  const box = await withModel({ 'missing/Kitfile': KITFILE, 'outside/Kitfile': 'manifestVersion: 1.0.0\nmodel:\n  path: ../src/model\n' });
  expect(await box.kit('pack missing')).toMatchInlineSnapshot(`
    exit 3
    --- stderr
    error: model layer \`model\` in missing: model does not exist

    hint: correct the path in the Kitfile, or put there what it names
  `);
  expect(await box.kit('pack outside')).toMatchInlineSnapshot(`
    exit 2
    --- stderr
    error: errors while validating Kitfile outside/Kitfile:
      * outside/Kitfile:3:9: paths must stay within the context directory (path \`../src/model\` in model)

    hint: correct outside/Kitfile and run the command again
  `);
  await box.write({ 'elsewhere/weights.bin': 'weights' });
  await symlink('../../elsewhere/weights.bin', box.path('src/model/link.bin'));
  expect(await box.kit('pack src -t mine:v1')).toMatchInlineSnapshot(`
    exit 2
    --- stderr
    error: model/link.bin is a symbolic link out of the directory, to <TMP>/elsewhere/weights.bin

    hint: pack what it points to with \`--follow-symlinks\`, or add it to .kitignore
  `);
  await box.ok('pack src -t mine:v1 --follow-symlinks');
  await box.ok('unpack mine:v1 -d out');
  expect(await box.tree('out')).toEqual(['Kitfile', 'model/', 'model/a.bin', 'model/link.bin']);
  await rm(box.path('src/model/link.bin'));
  await symlink('loop', box.path('src/model/loop'));
  expect(await box.kit('pack src -t mine:v1')).toMatchInlineSnapshot(`
    exit 2
    --- stderr
    error: model/loop is a loop of symbolic links

    hint: take it out of the directory, or name it in .kitignore
  `);
});

test('a FIFO and a socket', async () => {
  const box = await withModel();
  spawnSync('mkfifo', [box.path('src/model/fifo')]);
  expect(await box.kit('pack src')).toMatchInlineSnapshot(`
    exit 2
    --- stderr
    error: model/fifo is a named pipe, which cannot be packed

    hint: remove it, or add it to .kitignore in src
  `);
  const other = await withModel();
  const server = createServer().listen(other.path('src/model/socket'));
  onTestFinished(() => void server.close());
  expect(await other.kit('pack src')).toMatchInlineSnapshot(`
    exit 2
    --- stderr
    error: model/socket is a socket, which cannot be packed

    hint: remove it, or add it to .kitignore in src
  `);
});

test.skipIf(!isRoot)('a file, a directory and a Kitfile that may not be read', async () => {
  const box = await withModel();
  await chmod(box.root, 0o777);
  const asNobody = { uid: NOBODY };
  await chmod(box.path('src/model/a.bin'), 0);
  expect(await box.kit('pack src', asNobody)).toMatchInlineSnapshot(`
    exit 1
    --- stderr
    error: <TMP>/src/model/a.bin: permission denied

    hint: check the permissions: \`ls -ld <TMP>/src/model/a.bin\`
  `);
  await chmod(box.path('src/model'), 0);
  expect(await box.kit('pack src', asNobody)).toMatchInlineSnapshot(`
    exit 1
    --- stderr
    error: model layer \`model\` in src: model: permission denied

    hint: check its owner and permissions
  `);
  await chmod(box.path('src/Kitfile'), 0);
  expect(await box.kit('pack src', asNobody)).toMatchInlineSnapshot(`
    exit 1
    --- stderr
    error: src/Kitfile: permission denied

    hint: check the permissions: \`ls -ld src/Kitfile\`
  `);
});

test.skipIf(!isRoot)('a home that may not be written', async () => {
  const box = await withModel();
  await chmod(box.root, 0o755);
  expect(await box.kit('pack src -t mine:v1', { uid: NOBODY })).toMatchInlineSnapshot(`
    exit 1
    --- stderr
    error: local storage cannot be made: <TMP>/home/storage: permission denied

    hint: name a folder for it that may be written with \`--config\` or $KIT_HOME
  `);
});

test('what cannot be packed leaves no ModelKit behind', async () => {
  const box = await withModel();
  spawnSync('mkfifo', [box.path('src/model/fifo')]);
  await box.kit('pack src -t mine:v1');
  expect(await box.ok('list --format json')).toBe('[]\n');
});

test('a layer without files is packed, with a warning', async () => {
  const box = await withModel({ 'src/.kitignore': 'model\n' });
  expect(await box.kit('pack src -t mine:v1')).toMatchInlineSnapshot(`
    exit 0
    --- stdout
    Saved model layer: sha256:5f70bf18a086…
    Saved configuration: sha256:b9cc84bcae15…
    Saved manifest to storage: sha256:c6f1f0c4a5ab…
    Model saved: sha256:c6f1f0c4a5ab…
    --- stderr
    warning: model layer path model is ignored by .kitignore
    warning: no files detected in model layer with path model
  `);
});

test('--push needs a registry and a name', async () => {
  const box = await withModel();
  expect(await box.kit('pack src --push')).toMatchInlineSnapshot(`
    exit 2
    --- stderr
    error: --push needs --tag

    hint: name where it goes: \`--tag REGISTRY/REPOSITORY:TAG\`
  `);
  expect(await box.kit('pack src -t mine:v1 --push')).toMatchInlineSnapshot(`
    exit 2
    --- stderr
    error: mine: a registry is required

    hint: write REGISTRY/mine:TAG, for example \`localhost:5000/mine:latest\`
  `);
  expect(await box.kit(`pack src -t mine@sha256:${'0'.repeat(64)}`)).toMatchInlineSnapshot(`
    exit 2
    --- stderr
    error: mine@sha256:000000000000…: a digest cannot be chosen for what is written

    hint: give a tag instead
  `);
  expect(await box.kit('pack src -t Mine:v1')).toMatchInlineSnapshot(`
    exit 2
    --- stderr
    error: invalid reference \`Mine:v1\`: repository (Mine) name must be lowercase

    hint: write \`mine\`
  `);
});

test('init', async () => {
  const box = await withModel();
  expect(await box.kit('init src')).toMatchInlineSnapshot(`
    exit 1
    --- stderr
    error: Kitfile already exists at src/Kitfile

    hint: use \`--force\` to overwrite it, or \`--output\` for another name
  `);
  expect(await box.kit('init missing')).toMatchInlineSnapshot(`
    exit 3
    --- stderr
    error: missing does not exist

    hint: \`ls <TMP>\` shows what there is
  `);
  expect(await box.kit('init src --force --name mine --desc words --author alice')).toMatchInlineSnapshot(`
    exit 0
    --- stdout
    Generated Kitfile:

    manifestVersion: 1.0.0
    package:
      name: mine
      description: words
      authors: [alice]
    model:
      name: model/a
      path: model/a.bin

    Saved to path 'src/Kitfile'
  `);
  await box.ok('pack src');
});
