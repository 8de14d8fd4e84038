import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Sandbox, sandbox } from '../support/kit.ts';
import { startRegistry, type TestRegistry } from '../support/registry.ts';

let registry: TestRegistry;
beforeAll(async () => {
  registry = await startRegistry();
});
afterAll(() => registry.close());

async function withModel(): Promise<Sandbox> {
  const box = await sandbox();
  await box.write({ 'in/Kitfile': 'manifestVersion: 1.0.0\npackage: {name: mine, authors: [alice]}\nmodel: {path: m}\ncode: [{path: run.sh}]\n' });
  await box.write({ 'in/m': 'weights\n', 'in/run.sh': '#!/bin/sh\n' });
  return box;
}

const short = (value: unknown): unknown => JSON.parse(JSON.stringify(value).replaceAll(/(sha256:[0-9a-f]{12})[0-9a-f]{52}/g, '$1…'));

test('--format json of every command that returns data', async () => {
  const box = await withModel();
  const name = `${registry.host}/json/mine`;
  const json = async (args: string): Promise<unknown> => short(JSON.parse((await box.kit(`${args} --format json`)).stdout));
  expect(await json(`pack in -t ${name}:v1`)).toMatchInlineSnapshot();
  expect(await json(`tag ${name}:v1 ${name}:v2`)).toMatchInlineSnapshot();
  expect(await json(`push ${name}:v1,v2`)).toMatchInlineSnapshot();
  expect(await json(`pull ${name}:v1`)).toMatchInlineSnapshot();
  expect(await json('list')).toMatchInlineSnapshot();
  expect(await json(`list ${name}`)).toMatchInlineSnapshot();
  expect(await json(`inspect ${name}:v1`)).toMatchInlineSnapshot();
  expect(await json(`info ${name}:v1`)).toMatchInlineSnapshot();
  expect(await json(`diff ${name}:v1 ${name}:v2`)).toMatchInlineSnapshot();
  expect(await json(`unpack ${name}:v1 -d out`)).toMatchInlineSnapshot();
  expect(await json('init out --force --name mine')).toMatchInlineSnapshot();
  expect(await json(`remove ${name}:v1,missing`)).toMatchInlineSnapshot();
  expect(Object.keys((await json('version')) as object)).toEqual(['version', 'commit', 'built', 'node']);
});

test('tables and lines have the shape that the SDKs of KitOps parse', async () => {
  const box = await withModel();
  await box.ok('pack in -t mine:v1');
  await box.ok('pack in');
  // kitops-ts: header and rows split at two blanks or more
  const [header, ...rows] = (await box.ok('list')).trimEnd().split('\n').map((line) => line.split(/ {2,}/));
  expect(header).toEqual(['REPOSITORY', 'TAG', 'MAINTAINER', 'NAME', 'SIZE', 'DIGEST']);
  expect(rows.map((row) => row.slice(0, 5))).toEqual([
    ['<none>', '<none>', 'alice', 'mine', '4.0 KiB'],
    ['mine', 'v1', 'alice', 'mine', '4.0 KiB'],
  ]);
  expect((await box.ok('version')).trimEnd().split('\n').map((line) => line.replace(/: .*/, ''))).toEqual([
    'Version',
    'Commit',
    'Built',
    'Node version',
  ]);
  expect(await box.ok(['list', '--format', '{{ .Repo }}:{{ range .Tags }}{{ . }}{{ end }} {{ .ModelName }}'])).toBe('<none>: mine\nmine:v1 mine\n');
  // pykitops: "Model saved: DIGEST" and `import`ed stdout of info
  expect(await box.ok('pack in -t mine:v1')).toMatch(/^Model saved: sha256:\w{64}$/m);
  expect(await box.ok('info mine:v1 --filter package.name')).toBe('mine\n');
});

test('stdout is empty when a command fails, and holds data alone when it does not', async () => {
  const box = await withModel();
  for (const args of ['pack missing', 'unpack mine:v9', 'list --format', 'inspect mine:v9 --format json', 'push mine:v1'])
    expect((await box.kit(args)).stdout, args).toBe('');
  const plain = await box.kit('pack in -t mine:v1 --format json --progress plain');
  expect(JSON.parse(plain.stdout)).toHaveProperty('digest');
  expect(plain.stderr).toMatchInlineSnapshot();
  const events = await box.kit('unpack mine:v1 -d out --format json --progress json');
  expect(JSON.parse(events.stdout)).toHaveProperty('fileCount', 3);
  const types = events.stderr.trimEnd().split('\n').map((line) => (JSON.parse(line) as { type: string }).type);
  expect(new Set(types)).toEqual(new Set(['blob', 'bytes', 'done']));
  const fancy = await box.kit('unpack mine:v1 -d out2 --progress fancy');
  expect(fancy.stdout).toBe((await box.ok('unpack mine:v1 -d out2 -o')).toString());
});

test('-v shows the code and the causes of an error, --log-level error hides warnings', async () => {
  const box = await withModel();
  await box.write({ 'in/.kitignore': 'm\n' });
  expect(await box.kit('inspect mine:v9 -v')).toMatchInlineSnapshot();
  expect((await box.kit('pack in -t mine:v1')).stderr).toContain('warning: ');
  expect((await box.kit('pack in -t mine:v1 --log-level error')).stderr).toBe('');
});

test('the same input gives the same digest, with a time only when asked', async () => {
  const box = await withModel();
  const digestOf = async (args: string, env: Record<string, string> = {}) =>
    (JSON.parse(await box.ok(`pack in ${args} --format json`, { env })) as { digest: string }).digest;
  const plain = await digestOf('-t a:v1');
  expect(await digestOf('-t b:v2', { TZ: 'Asia/Tokyo', LANG: 'C' })).toBe(plain);
  expect(await digestOf('-t oci:layout:v1')).toBe(plain);
  const timed = await digestOf('-t a:v2 --created 2026-01-31T12:00:00Z');
  expect(timed).not.toBe(plain);
  expect(await digestOf('-t a:v3', { SOURCE_DATE_EPOCH: '1769860800' })).toBe(timed);
});
