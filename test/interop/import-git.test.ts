import { existsSync, mkdirSync, readFileSync, readdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { describe, expect, onTestFinished, test } from 'vitest';
import { parseLocation } from '../../src/oci/reference.ts';
import { importModel, type ImportArguments, type ImportResult } from '../../src/operations/import/import.ts';
import { pack } from '../../src/operations/pack/pack.ts';
import { unpack } from '../../src/operations/unpack/unpack.ts';
import { commitFiles, git, type GitServer, hasGit, lfsPointer, serveGit } from '../support/git-server.ts';
import { sha256 } from '../support/hub-server.ts';
import { type Workspace, workspace } from '../unit/operations/sandbox.ts';

const WEIGHTS = Buffer.alloc(200_000, 9);
const FILES = {
  '.gitattributes': '*.safetensors filter=lfs\n',
  'README.md': '# hi\n',
  'model.safetensors': lfsPointer(WEIGHTS),
  'src/run.sh': '#!/bin/sh\n',
  'src/notes.txt': 'version https://git-lfs.github.com/spec/v1\nthat is what a pointer begins with\n',
};

const TAG = parseLocation('m:v1');

async function run(space: Workspace, args: ImportArguments): Promise<ImportResult> {
  return await importModel(space.kit, { destination: TAG, ...args }, space.call);
}

async function unpacked(space: Workspace): Promise<(...parts: string[]) => string> {
  await unpack(space.kit, { source: TAG, directory: space.path('out') });
  return (...parts) => space.path('out', ...parts);
}

async function served(space: Workspace, token?: string): Promise<GitServer> {
  mkdirSync(space.path('srv'), { recursive: true });
  commitFiles(space.path('srv/team'), FILES);
  const server = await serveGit(space.path('srv'), [WEIGHTS], token);
  onTestFinished(() => server.close());
  return server;
}

describe.skipIf(!hasGit)('a git repository', () => {
  test('of this machine, with what LFS keeps beside it', async () => {
    const space = workspace();
    const commit = commitFiles(space.path('team/repo'), FILES);
    const hex = sha256(WEIGHTS);
    space.write({ [`team/repo/.git/lfs/objects/${hex.slice(0, 2)}/${hex.slice(2, 4)}/${hex}`]: WEIGHTS });
    const { layers, revision, reference } = await run(space, {
      source: `file://${space.path('team/repo')}`,
      layerFormat: 'raw',
      destination: undefined,
    });
    expect([revision, reference]).toEqual([commit, 'repo:latest']);
    expect(layers.find(({ path }) => path === 'model.safetensors')?.descriptor.digest).toBe(`sha256:${hex}`);
    // what git needed meanwhile is gone
    expect(readdirSync(space.path('home/cache')).filter((name) => name.startsWith('import-'))).toEqual([]);
  });

  test('stays where it is: a file of LFS and a folder, at the commit that was packed', async () => {
    const space = workspace();
    const server = await served(space);
    const repository = `git+${server.url}/team/.git`;
    const text = JSON.stringify({
      manifestVersion: '1.0.0',
      model: { path: 'w.safetensors', remotePath: `${repository}@main#model.safetensors`, remoteHash: `sha256:${sha256(WEIGHTS)}` },
      datasets: [{ path: 'notes', remotePath: `${repository}#src` }],
    });
    space.write({ 'ctx/Kitfile': text });
    await pack(space.kit, { directory: space.path('ctx'), destination: TAG }, space.call);
    // no content was fetched to know its size and digest
    expect(server.requests.filter(({ path }) => path.startsWith('/objects/'))).toEqual([]);
    writeFileSync(space.path('srv/team/src/notes.txt'), 'changed');
    git(space.path('srv/team'), 'commit', '--quiet', '--all', '--message', 'two');
    await unpack(space.kit, { source: TAG, directory: space.path('out'), includeRemote: true });
    expect(readFileSync(space.path('out/w.safetensors')).equals(WEIGHTS)).toBe(true);
    expect(readFileSync(space.path('out/notes/notes.txt'), 'utf8')).toBe(FILES['src/notes.txt']);
    expect(readdirSync(space.path('home/cache')).filter((name) => name.startsWith('import-'))).toEqual([]);
  });

  test('without its LFS objects is not imported as pointers', async () => {
    const space = workspace();
    commitFiles(space.path('repo'), FILES);
    await expect(run(space, { source: `file://${space.path('repo')}` })).rejects.toMatchObject({
      code: 'BLOB_NOT_FOUND',
      message: expect.stringContaining('model.safetensors') as string,
    });
  });

  test('keeps modes, leaves out links with a warning, and finds branch, tag and commit', async () => {
    const space = workspace();
    const { 'model.safetensors': _, ...small } = FILES;
    const first = commitFiles(space.path('repo'), small);
    git(space.path('repo'), 'tag', 'v1');
    writeFileSync(space.path('repo/README.md'), '# two\n');
    symlinkSync('README.md', space.path('repo/link'));
    git(space.path('repo'), 'add', '--all');
    git(space.path('repo'), 'commit', '--quiet', '-m', 'two');
    const source = `file://${space.path('repo')}`;
    expect((await run(space, { source, revision: 'v1' })).revision).toBe(first);
    expect((await run(space, { source, revision: first })).revision).toBe(first);
    expect((await run(space, { source, revision: 'main', depth: 0 })).revision).not.toBe(first);
    expect(space.events).toContainEqual(
      expect.objectContaining({ type: 'warning', message: 'link is a symbolic link, which is left out' }),
    );
    const at = await unpacked(space);
    expect(readFileSync(at('README.md'), 'utf8')).toBe('# two\n');
    expect(statSync(at('src/run.sh')).mode & 0o111).not.toBe(0);
    expect(readFileSync(at('src/notes.txt'), 'utf8')).toBe(FILES['src/notes.txt']);
  });

  test.each([
    ['a revision that it does not have', 'v9', 'REFERENCE_NOT_FOUND'],
    ['an option for a revision', '--upload-pack=touch pwned', 'REFERENCE_INVALID'],
    ['a refspec for a revision', 'main:refs/heads/x', 'REFERENCE_INVALID'],
  ])('refuses %s', async (_, revision, code) => {
    const space = workspace();
    commitFiles(space.path('repo'), { 'a.txt': 'a' });
    await expect(run(space, { source: `file://${space.path('repo')}`, revision })).rejects.toMatchObject({ code });
  });

  test.each([['ext::sh -c touch%20pwned'], ['--upload-pack=touch pwned']])('%s runs nothing', async (source) => {
    await expect(run(workspace(), { source, tool: 'git' })).rejects.toMatchObject({ name: 'KitError' });
    expect(existsSync('pwned')).toBe(false);
  });

  test('over http, with its LFS server', async () => {
    const space = workspace();
    const server = await served(space);
    await run(space, { source: `${server.url}/team/.git` });
    const at = await unpacked(space);
    expect(readFileSync(at('model.safetensors')).equals(WEIGHTS)).toBe(true);
  });

  test('that is private gets the token; another host, which has the LFS objects, does not', async () => {
    const space = workspace();
    const server = await served(space, 's3cret');
    const source = `${server.url}/team/.git`;
    await expect(run(space, { source })).rejects.toMatchObject({ code: 'UNAUTHORIZED' });
    server.requests.splice(0);
    await run(space, { source, token: 's3cret' });
    const objects = server.requests.filter(({ path }) => path.startsWith('/objects/'));
    expect(objects.length).toBeGreaterThan(0);
    expect(objects.every(({ authorization }) => authorization === undefined)).toBe(true);
  });
});
