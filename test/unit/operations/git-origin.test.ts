import { execFileSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { parseLocation } from '../../../src/oci/reference.ts';
import { createKit } from '../../../src/operations/kit.ts';
import { loadArtifact } from '../../../src/operations/artifact/load-artifact.ts';
import { pack } from '../../../src/operations/pack/pack.ts';
import { commitFiles, git, hasGit, lfsPointer } from '../../support/git-server.ts';
import { type Workspace, workspace } from './sandbox.ts';

const FILES = {
  Kitfile: 'manifestVersion: 1.0.0\nmodel: {path: m}\ncode: [{path: .}]\n',
  m: 'model',
  'data/a.bin': lfsPointer(Buffer.from('large')),
};

async function packed(space: Workspace, gitOrigin?: boolean): Promise<{ digest: string; annotations: Readonly<Record<string, string>> }> {
  // the programs of this machine, and no settings of whoever runs the tests
  const kit = createKit({ home: space.home, env: { PATH: process.env['PATH'], HOME: space.root, GIT_CONFIG_NOSYSTEM: '1' } });
  const args = { directory: space.path('repo'), destination: parseLocation('mine:v1'), ...(gitOrigin !== undefined && { gitOrigin }) };
  const { digest } = await pack(kit, args, space.call);
  const { manifest } = await loadArtifact((await kit.store()).repository('mine'), 'v1', 'mine', {});
  return { digest, annotations: manifest.annotations ?? {} };
}

describe.skipIf(!hasGit)('pack in a git work tree', () => {
  test('remote and commit are recorded when asked for, without credentials', async () => {
    const space = workspace();
    const commit = commitFiles(space.path('repo'), FILES);
    git(space.path('repo'), 'remote', 'add', 'origin', 'https://me:secret@example.com/team/model.git');
    const plain = await packed(space);
    expect(plain.annotations).toEqual({});
    const { annotations, digest } = await packed(space, true);
    expect(annotations).toEqual({
      'org.opencontainers.image.source': 'https://example.com/team/model.git',
      'org.opencontainers.image.revision': commit,
    });
    expect(digest).not.toBe(plain.digest);
    space.write({ 'repo/m': 'changed' });
    expect((await packed(space, true)).annotations['org.opencontainers.image.revision']).toBe(`${commit}-dirty`);
    expect(space.events).toContainEqual(expect.objectContaining({ type: 'warning', code: 'GIT_DIRTY' }));
  });

  test('without a commit it is refused', async () => {
    const space = workspace();
    space.write({ 'repo/Kitfile': FILES.Kitfile, 'repo/m': 'm' });
    execFileSync('git', ['-C', space.path('repo'), 'init', '--quiet']);
    await expect(packed(space, true)).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      hint: expect.stringContaining('--git-origin') as string,
    });
  });

  test('pointers of git LFS are named', async () => {
    const space = workspace();
    commitFiles(space.path('repo'), FILES);
    await packed(space);
    const warnings = space.events.flatMap((event) => (event.type === 'warning' && event.code === 'LFS_POINTER' ? event.message : []));
    expect(warnings).toEqual([expect.stringMatching(/^data\/a\.bin: only pointers of git LFS are here.*`git lfs pull`/)]);
  });
});
