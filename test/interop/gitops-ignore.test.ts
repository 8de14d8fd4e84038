import { execFileSync, spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { openContext, walkLayer } from '../../src/blobs/walk.ts';
import { SourceIgnore } from '../../src/operations/gitops/ignore.ts';

const hasGit = spawnSync('git', ['--version']).status === 0;

const FILES = [
  'a.yaml',
  'a b.yaml',
  'trailing ',
  'build/a.yaml',
  'build/keep.yaml',
  'docs/build/x.md',
  'docs/a/b/c.md',
  'docs/c.md',
  'abc/x/y/z.txt',
  'foo',
  'foobar',
  'sub/foo/bar',
  'sub/deep/foo',
  '#hash',
  '!bang',
  'star*name',
  'starXname',
  'x[1].txt',
  'x1.txt',
  'x-.txt',
  'x].txt',
  'file.1',
  'file.a',
  'file.Z',
  'nested/rules/a.tmp',
  'nested/rules/b.tmp',
  'nested/c.tmp',
  'logs/debug.log',
  'logs/important.log',
];

async function folder(files: Readonly<Record<string, string>>): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'kit-gitops-'));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), text);
  }
  return root;
}

/** Files that are kept. */
function kept(root: string): string[] {
  const rules = new SourceIgnore(root);
  return walkLayer(openContext(root), '.', (path) => (rules.ignoresEntry(path) ? 'prune' : 'keep'))
    .filter(({ type }) => type === 'file')
    .map(({ path }) => path);
}

describe.skipIf(!hasGit)('patterns mean what they mean to git', () => {
  test.each([
    ['foo'],
    ['/foo'],
    ['foo/'],
    ['foo*'],
    ['build'],
    ['build/'],
    ['/build/'],
    ['docs/build'],
    ['docs/**'],
    ['docs/**/c.md'],
    ['**/build'],
    ['**/foo/bar'],
    ['abc/**/z.txt'],
    ['abc/*'],
    ['abc/*/y'],
    ['**'],
    ['a**c/x'],
    ['*.yaml'],
    ['*.yaml\n!a.yaml'],
    ['build/*\n!build/keep.yaml'],
    ['build/\n!build/keep.yaml'],
    ['logs/*.log\n!logs/important.log'],
    ['\\#hash'],
    ['# hash'],
    ['\\!bang'],
    ['star\\*name'],
    ['star*name'],
    ['x[1].txt'],
    ['x[[]1].txt'],
    ['x[0-9].txt'],
    ['x[!0-9].txt'],
    ['x[^0-9].txt'],
    ['x[]-].txt'],
    ['x[-1].txt'],
    ['file.[[:alpha:]]'],
    ['file.[[:digit:]a]'],
    ['file.[z-a]'],
    ['file.[a'],
    ['file.?'],
    ['trailing  '],
    ['trailing\\ '],
    ['a b.yaml   '],
    ['foo\r\nbuild\r'],
    ['\uFEFFfoo'],
    ['/'],
    ['!'],
    ['sub/'],
    ['sub/*/foo'],
    ['*/foo'],
    ['foo\\'],
    ['***/c.md'],
    ['docs/***'],
  ])('%j', async (rules) => {
    const root = await folder({ ...Object.fromEntries(FILES.map((file) => [file, ''])), '.sourceignore': rules });
    execFileSync('git', ['init', '-q'], { cwd: root });
    const listed = execFileSync('git', ['ls-files', '-z', '--others', '--exclude-per-directory=.sourceignore'], {
      cwd: root,
      encoding: 'utf8',
      env: { PATH: process.env['PATH'], HOME: root, GIT_CONFIG_NOSYSTEM: '1' },
    });
    const byGit = listed.split('\0').filter((path) => path !== '');
    expect(kept(root)).toEqual(byGit.toSorted());
  });
});

test('a file of rules below the root counts for its directory, after those above', async () => {
  const root = await folder({
    '.sourceignore': '*.tmp\nother\n',
    'nested/rules/.sourceignore': '!a.tmp\n/only\n',
    'nested/rules/a.tmp': '',
    'nested/rules/b.tmp': '',
    'nested/rules/only': '',
    'nested/rules/below/only': '',
    'nested/a.tmp': '',
    'nested/other/.sourceignore': '!*',
    'nested/other/x': '',
  });
  expect(kept(root)).toEqual(['.sourceignore', 'nested/rules/.sourceignore', 'nested/rules/a.tmp', 'nested/rules/below/only']);
});

test("Flux's defaults: version control, CI, pictures and archives", async () => {
  const out = ['.git/config', 'sub/.git', '.gitignore', '.gitattributes', '.github/workflows/a.yml', '.gitlab-ci.yml', 'x/.sops.yaml'];
  const surprising = ['logo.png', 'charts/x.tar.gz', 'x.zip'];
  const root = await folder(Object.fromEntries([...out, ...surprising, 'a.yaml', 'charts/y.tgz', '.git-notes'].map((path) => [path, ''])));
  const rules = new SourceIgnore(root);
  const found = walkLayer(openContext(root), '.', (path) => (rules.ignoresEntry(path) ? 'prune' : 'keep'));
  expect(found.filter(({ type }) => type === 'file').map(({ path }) => path)).toEqual(['.git-notes', 'a.yaml', 'charts/y.tgz']);
  expect(rules.leftOut.toSorted()).toEqual(surprising.toSorted());
});

test('a rule keeps what a default leaves out, but never .git; one that names it says that it is meant', async () => {
  const root = await folder({
    '.sourceignore': '!*.png\n!.git\n!.gitignore\n*.zip\n',
    '.git/config': '',
    '.gitignore': '',
    'logo.png': '',
    'x.zip': '',
    'x.jpg': '',
  });
  const rules = new SourceIgnore(root);
  const found = walkLayer(openContext(root), '.', (path) => (rules.ignoresEntry(path) ? 'prune' : 'keep'));
  expect(found.map(({ path }) => path)).toEqual(['.gitignore', '.sourceignore', 'logo.png']);
  expect(rules.leftOut).toEqual(['x.jpg']);
});

test('a rule for directories does not match a link to one', async () => {
  const root = await folder({ '.sourceignore': 'link/\n', 'real/a': '' });
  await symlink('real', join(root, 'link'));
  expect(kept(root)).toEqual(['.sourceignore', 'link/a', 'real/a']);
});

test('a character is a character, as to Flux, where git matches bytes', async () => {
  const root = await folder({ '.sourceignore': 'file.?\n', 'file.é': '' });
  expect(kept(root)).toEqual(['.sourceignore']);
});

test('rules of any size are not read', async () => {
  const root = await folder({ '.sourceignore': 'x'.repeat(1024 * 1024 + 1), a: '' });
  expect(() => kept(root)).toThrow(/\.sourceignore has 1048577 bytes/);
});
