import { readdirSync, utimesSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parseLocation, parseReference } from '../../../src/oci/reference.ts';
import { recallSource } from '../../../src/operations/artifact/source-record.ts';
import { audit } from '../../../src/operations/audit/audit.ts';
import { history } from '../../../src/operations/history/history.ts';
import { createKit, type Kit } from '../../../src/operations/kit.ts';
import { pack, type PackArguments, type PackResult } from '../../../src/operations/pack/pack.ts';
import { storeInfo } from '../../../src/operations/store/info.ts';
import { pruneStore } from '../../../src/operations/store/prune.ts';
import { remove } from '../../../src/operations/store/remove.ts';
import { lineage } from '../../../src/operations/tree/tree.ts';
import { commitFiles, git, hasGit } from '../../support/git-server.ts';
import { openRegistry } from './remote-artifact.ts';
import { type Workspace, workspace } from './sandbox.ts';

const FILES = { 'models/tiny/Kitfile': 'manifestVersion: 1.0.0\nmodel: {path: m}\n', 'models/tiny/m': 'model' };
const NAME = parseLocation('mine:1.0.0');

interface Setting extends Workspace {
  readonly git: Kit;
  pack(args?: Partial<PackArguments>, kit?: Kit): Promise<PackResult>;
}

/** With the programs of this machine, and no settings of whoever runs the tests. */
function setting(env: Readonly<Record<string, string | undefined>> = {}): Setting {
  const space = workspace();
  const own = { PATH: process.env['PATH'], HOME: space.root, GIT_CONFIG_NOSYSTEM: '1', ...env };
  const kit = createKit({ home: space.home, env: own, network: { plainHttp: true } });
  return {
    ...space,
    git: kit,
    pack: async (args = {}, by = kit) =>
      await pack(by, { directory: space.path('repo/models/tiny'), destination: NAME, ...args }, space.call),
  };
}

describe.skipIf(!hasGit)('what is packed in a git work tree', () => {
  test('the commit is noted here, without credentials, and the artifact stays the same', async () => {
    const space = setting();
    const commit = commitFiles(space.path('repo'), FILES);
    git(space.path('repo'), 'remote', 'add', 'origin', 'https://me:secret@example.com/team/model.git?token=x');
    const { digest } = await space.pack();
    expect(await recallSource(space.git, digest)).toEqual({
      commit,
      remote: 'https://example.com/team/model.git?token=...',
      path: 'models/tiny',
      when: expect.stringMatching(/^\d{4}-\d\d-\d\dT/) as string,
    });
    // outside of a work tree
    const plain = workspace();
    plain.write(Object.fromEntries(Object.entries(FILES).map(([path, content]) => [`repo/${path}`, content])));
    const same = await pack(plain.kit, { directory: plain.path('repo/models/tiny'), destination: NAME });
    expect(same.digest).toBe(digest);
    expect(await recallSource(plain.kit, digest)).toBeUndefined();
    expect(space.events.filter(({ type }) => type === 'warning')).toEqual([]);
  });

  test('tree, history and audit show it, as nothing that the artifact says', async () => {
    const space = setting();
    const commit = commitFiles(space.path('repo'), FILES);
    const { digest } = await space.pack();
    const { root } = await lineage(space.git, { location: NAME, lookup: 'local' });
    expect(root.children).toMatchObject([{ relation: 'origin', name: 'git work tree', digest: undefined, noted: true }]);
    expect(root.children[0]?.description).toMatch(
      new RegExp(`^packed in commit ${commit}, in models/tiny, noted on this machine .*; not part of the artifact$`),
    );
    const { entries } = await history(space.git, { location: parseLocation('mine') });
    expect(entries).toMatchObject([{ digest, packedFrom: { commit, path: 'models/tiny' } }]);
    const report = await audit(space.git, { location: NAME });
    expect(report.materials).toMatchObject([
      {
        relation: 'origin',
        noted: true,
        trust: 'claimed',
        reason: 'this machine noted it, and the artifact does not say so',
        source: digest,
      },
    ]);
    // nobody else knows
    expect(report.missing.map(({ fact }) => fact)).toContain('origin');
  });

  test('it goes with the manifest', async () => {
    const space = setting();
    commitFiles(space.path('repo'), FILES);
    const { digest } = await space.pack();
    for (const name of ['b'.repeat(64), `${'c'.repeat(64)}.123`, 'mine.txt']) writeFileSync(space.path('home/sources', name), '{}');
    expect((await storeInfo(space.git)).caches.sources).toMatchObject({ entries: 3, stale: 2 });
    expect((await pruneStore(space.git)).cacheEntries).toBe(2);
    expect(await recallSource(space.git, digest)).toBeDefined();
    await remove(space.git, parseReference('mine:1.0.0'));
    await pruneStore(space.git);
    expect(readdirSync(space.path('home/sources'))).toEqual(['mine.txt']);
  });

  test('what went straight to a registry is noted for a year', async () => {
    const space = setting();
    const registry = await openRegistry();
    const commit = commitFiles(space.path('repo'), FILES);
    const { digest } = await space.pack({ destination: parseLocation(`${registry.host}/m:v1`), push: true });
    await pruneStore(space.git);
    expect(await recallSource(space.git, digest)).toMatchObject({ commit });
    const { root } = await lineage(space.git, { location: parseLocation(`${registry.host}/m:v1`), lookup: 'remote' });
    expect(root.children).toMatchObject([{ noted: true }]);
    const then = new Date(Date.now() - 400 * 24 * 3_600_000);
    utimesSync(space.path('home/sources', digest.slice(7)), then, then);
    expect((await pruneStore(space.git)).cacheEntries).toBe(1);
  });

  test('packed refs, a detached head, a linked work tree: whatever git would say', async () => {
    const space = setting({ GIT_DIR: '/nowhere', GIT_WORK_TREE: '/nowhere' });
    const repo = space.path('repo');
    const commit = commitFiles(repo, FILES);
    git(repo, 'remote', 'add', 'origin', 'git@example.com:team/model.git');
    const expected = { commit, remote: 'ssh://example.com/team/model.git', path: 'models/tiny' };
    const noted = async (directory: string) => await recallSource(space.git, (await space.pack({ directory })).digest);
    git(repo, 'pack-refs', '--all');
    expect(await noted(space.path('repo/models/tiny'))).toMatchObject(expected);
    git(repo, 'worktree', 'add', '--quiet', '-b', 'other', space.path('linked'));
    expect(await noted(space.path('linked/models/tiny'))).toMatchObject(expected);
    git(repo, 'checkout', '--quiet', '--detach');
    expect(await noted(space.path('repo/models/tiny'))).toMatchObject(expected);
  });

  test('no commit, or no git where it would have to be asked: nothing is said', async () => {
    const space = setting();
    space.write(Object.fromEntries(Object.entries(FILES).map(([path, content]) => [`repo/${path}`, content])));
    git(space.path('repo'), 'init', '--quiet', '--initial-branch', 'main');
    const { digest } = await space.pack();
    git(space.path('repo'), 'add', '--all');
    git(space.path('repo'), 'commit', '--quiet', '--message', 'one');
    git(space.path('repo'), 'pack-refs', '--all');
    await space.pack({}, createKit({ home: space.home, env: { PATH: '/nowhere' } }));
    expect(await recallSource(space.git, digest)).toBeUndefined();
    await space.pack();
    expect(await recallSource(space.git, digest)).toBeDefined();
    expect(space.events.filter(({ type }) => type === 'warning')).toEqual([]);
  });

  test('where a record cannot be written, or is none, the pack is whole all the same', async () => {
    const space = setting();
    commitFiles(space.path('repo'), FILES);
    space.write({ 'home/sources': 'a file in the way' });
    const { digest } = await space.pack();
    expect(await recallSource(space.git, digest)).toBeUndefined();
    for (const text of ['{', '[]', '{"commit":"HEAD","when":"now"}', '{"commit":1}']) {
      const other = workspace();
      other.write({ [`home/sources/${digest.slice(7)}`]: text });
      expect(await recallSource(other.kit, digest)).toBeUndefined();
    }
  });
});
