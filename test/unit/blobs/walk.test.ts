import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { parseIgnore } from '../../../src/blobs/ignore.ts';
import { tarLayer } from '../../../src/blobs/layer.ts';
import { type Exclude, openContext, walkLayer } from '../../../src/blobs/walk.ts';
import { collect, temporaryDirectory } from './workspace.ts';

const KEEP: Exclude = () => 'keep';

/** A directory with these files; a name that ends in `/` is an empty directory. */
function tree(...names: readonly string[]): string {
  const directory = join(temporaryDirectory(), 'context');
  mkdirSync(directory);
  for (const name of names) add(directory, name);
  return directory;
}

function add(directory: string, name: string): void {
  const path = join(directory, name);
  mkdirSync(name.endsWith('/') ? path : dirname(path), { recursive: true });
  if (!name.endsWith('/')) writeFileSync(path, name);
}

function walk(directory: string, layer = '.', exclude = KEEP, followSymlinks = false): string[] {
  return walkLayer(openContext(directory, followSymlinks), layer, exclude).map(({ path, type }) =>
    type === 'directory' ? `${path}/` : path,
  );
}

const unsupported = (text: string) =>
  expect.objectContaining({ code: 'PATH_UNSUPPORTED', message: expect.stringContaining(text) as unknown }) as unknown;
const notFound = (text: string) =>
  expect.objectContaining({ code: 'PATH_NOT_FOUND', message: expect.stringContaining(text) as unknown }) as unknown;

describe('order and choice', () => {
  test('a directory comes before what is in it, names in byte order', () => {
    const directory = tree('b', 'a/z', 'a-b/x', 'a.txt', 'Z', 'é', '\u{1F600}', '\uFF5E', 'empty/');
    expect(walk(directory)).toEqual(['Z', 'a/', 'a/z', 'a-b/', 'a-b/x', 'a.txt', 'b', 'empty/', 'é', '\uFF5E', '\u{1F600}']);
  });

  test('the directories above a layer belong to it, their other content does not', () => {
    const directory = tree('a/b/c/d', 'a/b/e', 'a/x', 'f');
    expect(walk(directory, 'a/b')).toEqual(['a/', 'a/b/', 'a/b/c/', 'a/b/c/d', 'a/b/e']);
    expect(walk(directory, 'a/b/e')).toEqual(['a/', 'a/b/', 'a/b/e']);
  });

  test('names may hold line breaks, spaces, dots and 255 bytes', () => {
    const names = ['a\nb', ' a ', 'a..b', '...', 'x'.repeat(255), 'a\tb', '-rf', 'é'.repeat(127)];
    expect(walk(tree(...names))).toEqual(names.toSorted());
  });

  test('what is ignored is left out, with exceptions below it', () => {
    const directory = tree('d/a', 'd/keep/a.txt', 'd/keep/b.txt', 'e.tmp');
    const rules = parseIgnore('d/*\n!d/keep/b.txt\n*.tmp');
    expect(walk(directory, '.', (path) => (rules.ignores(path) ? 'skip' : 'keep'))).toEqual(['d/', 'd/keep/b.txt']);
    expect(walk(directory, '.', (path) => (rules.ignores(path) ? 'prune' : 'keep'))).toEqual(['d/']);
    expect(walk(directory, 'd/keep', (path) => (path === 'd' ? 'prune' : 'keep'))).toEqual([]);
  });

  test('mode, size and empty files are as the file system says', () => {
    const directory = tree('a');
    chmodSync(join(directory, 'a'), 0o4751);
    expect(walkLayer(openContext(directory), 'a', KEEP)).toMatchObject([{ path: 'a', type: 'file', mode: 0o4751, size: 1 }]);
  });
});

describe('a path that cannot be packed is named', () => {
  test('a layer that does not exist', () => {
    expect(() => walk(tree('a'), 'b/c')).toThrow(notFound('b'));
    expect(() => walk(tree('a'), 'a/c')).toThrow(notFound('a/c'));
  });

  test('a context that does not exist or is a file', () => {
    expect(() => openContext(join(tree(), 'missing'))).toThrow(notFound('missing'));
    expect(() => openContext(join(tree('file'), 'file'))).toThrow(notFound('is not a directory'));
  });

  test('a backslash in a name', () => {
    expect(() => walk(tree('d/a\\b'))).toThrow(unsupported('backslash'));
  });

  test('a name that is no UTF-8, unless it is ignored; U+FFFD itself is a legal name', () => {
    const directory = tree('d/');
    writeFileSync(Buffer.concat([Buffer.from(join(directory, 'd/x')), Buffer.from([0xff]), Buffer.from('y')]), '');
    writeFileSync(join(directory, 'd/x\uFFFDz'), '');
    expect(() => walk(directory)).toThrow(unsupported('not UTF-8'));
    expect(walk(directory, '.', (path) => (path.endsWith('y') ? 'skip' : 'keep'))).toEqual(['d/', 'd/x\uFFFDz']);
    writeFileSync(join(directory, 'd/x\uFFFDy'), '');
    expect(() => walk(directory)).toThrow(unsupported('not UTF-8'));
  });

  test('a pipe, unless it is ignored', () => {
    const directory = tree('a');
    execFileSync('mkfifo', [join(directory, 'pipe')]);
    expect(() => walk(directory)).toThrow(unsupported('pipe is a named pipe'));
    expect(walk(directory, '.', (path) => (path === 'pipe' ? 'skip' : 'keep'))).toEqual(['a']);
  });

  test('a socket', async () => {
    const directory = tree('a');
    const server = createServer();
    onTestFinished(() => void server.close());
    await new Promise<void>((resolve) => server.listen(join(directory, 's'), resolve));
    expect(() => walk(directory)).toThrow(unsupported('s is a socket'));
  });

  test('a device', (context) => {
    const directory = tree('a');
    if (spawnSync('mknod', [join(directory, 'null'), 'c', '1', '3']).status !== 0) context.skip('mknod is not permitted');
    expect(() => walk(directory)).toThrow(unsupported('null is a device'));
  });

  test('a directory that must not be read', (context) => {
    const directory = tree('d/a');
    chmodSync(join(directory, 'd'), 0);
    onTestFinished(() => chmodSync(join(directory, 'd'), 0o755));
    chmodSync(dirname(directory), 0o755);
    const script = `
      import { openContext, walkLayer } from ${JSON.stringify(join(import.meta.dirname, '../../../src/blobs/walk.ts'))};
      if (process.getuid() === 0) process.setuid(65534);
      try { walkLayer(openContext(${JSON.stringify(directory)}), '.', () => 'keep'); }
      catch (error) { process.stdout.write(error.code + ' ' + error.message); }`;
    const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module-typescript', '-e', script], { encoding: 'utf8' });
    if (/EACCES|ERR_MODULE_NOT_FOUND/.test(stderr)) context.skip('another user cannot read the source');
    expect(stdout).toBe('PATH_UNREADABLE d: permission denied');
  });
});

describe('symbolic links', () => {
  test('to files and directories inside are packed as what they point to', async () => {
    const directory = tree('real/file', 'd/');
    symlinkSync('../real/file', join(directory, 'd/file-link'));
    symlinkSync('../real', join(directory, 'd/dir-link'));
    symlinkSync(join(directory, 'real/file'), join(directory, 'd/absolute-link'));
    expect(walk(directory, 'd')).toEqual(['d/', 'd/absolute-link', 'd/dir-link/', 'd/dir-link/file', 'd/file-link']);
    const bytes = await collect(tarLayer(walkLayer(openContext(directory), 'd/file-link', KEEP)).open());
    expect(bytes.includes('real/file')).toBe(true);
  });

  test('a layer path may be a link, or lead through one', () => {
    const directory = tree('real/file');
    symlinkSync('real', join(directory, 'link'));
    expect(walk(directory, 'link')).toEqual(['link/', 'link/file']);
    expect(walk(directory, 'link/file')).toEqual(['link/', 'link/file']);
  });

  test('a link to a sibling layer packs its content a second time', () => {
    const directory = tree('one/file', 'two/');
    symlinkSync('../one', join(directory, 'two/one'));
    expect(walk(directory, 'two', (path) => (path === 'one' ? 'prune' : 'keep'))).toEqual(['two/', 'two/one/', 'two/one/file']);
  });

  test('out of the directory are refused, or followed when asked to', () => {
    const directory = tree('a');
    add(dirname(directory), 'outside/file');
    symlinkSync('../outside', join(directory, 'out'));
    symlinkSync('../outside/file', join(directory, 'file'));
    expect(() => walk(directory)).toThrow(unsupported('file is a symbolic link out of the directory'));
    expect(walk(directory, '.', KEEP, true)).toEqual(['a', 'file', 'out/', 'out/file']);
    expect(walk(directory, '.', (path) => (path === 'a' ? 'keep' : 'skip'))).toEqual(['a']);
  });

  test('into a directory whose name only begins alike are refused', () => {
    const directory = tree('a');
    add(dirname(directory), 'context-2/file');
    symlinkSync('../context-2/file', join(directory, 'link'));
    expect(() => walk(directory)).toThrow(unsupported('out of the directory'));
  });

  test('to nothing are refused', () => {
    const directory = tree();
    symlinkSync('missing', join(directory, 'link'));
    expect(() => walk(directory)).toThrow(unsupported('link is a symbolic link to something that does not exist'));
  });

  test('that go round are refused', () => {
    const self = tree();
    symlinkSync('self', join(self, 'self'));
    expect(() => walk(self)).toThrow(unsupported('self'));
    const parent = tree('d/');
    symlinkSync('..', join(parent, 'd/up'));
    expect(() => walk(parent)).toThrow(unsupported('d/up is a symbolic link to a directory that contains it'));
    const mutual = tree('a/', 'b/');
    symlinkSync('../b', join(mutual, 'a/b'));
    symlinkSync('../a', join(mutual, 'b/a'));
    expect(() => walk(mutual)).toThrow(unsupported('a/b/a is a symbolic link to a directory that contains it'));
  });

  test('the context itself may be one', () => {
    const directory = tree('a');
    symlinkSync(directory, `${directory}-link`);
    expect(walk(`${directory}-link`)).toEqual(['a']);
  });
});

function cache(): string {
  const directory = tree('hub/models--org--name/blobs/123', 'hub/models--org--name/snapshots/rev/onnx/', 'hub/other');
  symlinkSync('../../blobs/123', join(directory, 'hub/models--org--name/snapshots/rev/model.bin'));
  symlinkSync('../../../blobs/123', join(directory, 'hub/models--org--name/snapshots/rev/onnx/model.onnx'));
  return directory;
}

describe('the cache of Hugging Face', () => {
  test('a snapshot may link into the blobs of its repository', () => {
    const snapshot = join(cache(), 'hub/models--org--name/snapshots/rev');
    expect(walk(snapshot)).toEqual(['model.bin', 'onnx/', 'onnx/model.onnx']);
    expect(walk(join(snapshot, 'onnx'))).toEqual(['model.onnx']);
  });

  test('but not elsewhere', () => {
    const snapshot = join(cache(), 'hub/models--org--name/snapshots/rev');
    symlinkSync('../../../other', join(snapshot, 'other'));
    expect(() => walk(snapshot)).toThrow(unsupported('out of the directory'));
  });

  test('a whole cache is a directory like any other', () => {
    expect(walk(cache(), 'hub/models--org--name/snapshots').at(-1)).toBe('hub/models--org--name/snapshots/rev/onnx/model.onnx');
  });
});
