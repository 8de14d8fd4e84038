import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { KitEvent } from '../../../src/events.ts';
import type { GitopsOrigin } from '../../../src/formats/gitops.ts';
import { gitOrigin, withoutCredentials } from '../../../src/operations/gitops/origin.ts';

const hasGit = spawnSync('git', ['--version']).status === 0;

test.each([
  ['https://example.com/team/deploy.git', 'https://example.com/team/deploy.git'],
  ['https://bob:token@example.com/team/deploy.git', 'https://example.com/team/deploy.git'],
  ['https://token@example.com/team/deploy.git', 'https://example.com/team/deploy.git'],
  ['https://a:b@c@example.com/x', 'https://example.com/x'],
  ['https://example.com/x@y', 'https://example.com/x@y'],
  ['ssh://git@example.com/team/deploy.git', 'ssh://git@example.com/team/deploy.git'],
  ['ssh://git:secret@example.com/team/deploy.git', 'ssh://git@example.com/team/deploy.git'],
  ['git@example.com:team/deploy.git', 'git@example.com:team/deploy.git'],
  ['/srv/deploy.git', '/srv/deploy.git'],
])('%s is published as %s', (url, published) => {
  expect(withoutCredentials(url)).toBe(published);
});

interface Repository {
  readonly root: string;
  readonly env: NodeJS.ProcessEnv;
  readonly git: (...args: string[]) => string;
  readonly origin: (
    files: readonly string[],
    ignores?: (path: string) => boolean,
  ) => Promise<GitopsOrigin & { readonly warnings: readonly string[] }>;
}

async function repository(): Promise<Repository> {
  const root = await mkdtemp(join(tmpdir(), 'kit-gitops-'));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  const env = {
    PATH: process.env['PATH'],
    HOME: root,
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CEILING_DIRECTORIES: tmpdir(),
    GIT_AUTHOR_NAME: 'a',
    GIT_AUTHOR_EMAIL: 'a@example.com',
    GIT_COMMITTER_NAME: 'a',
    GIT_COMMITTER_EMAIL: 'a@example.com',
  };
  return {
    root,
    env,
    git: (...args) => execFileSync('git', args, { cwd: root, env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim(),
    async origin(files, ignores = () => false) {
      const warnings: string[] = [];
      const onEvent = (event: KitEvent): void => void (event.type === 'warning' && warnings.push(`${event.code} ${event.message}`));
      return { ...(await gitOrigin(env, { root, files, ignores }, { onEvent })), warnings };
    },
  };
}

const isLeftOut = (path: string): boolean => path === '.gitignore';

describe.skipIf(!hasGit)('what git says', () => {
  test('branch, commit and origin', async () => {
    const { root, git, origin } = await repository();
    git('init', '-q', '-b', 'main');
    git('remote', 'add', 'origin', 'https://bob:token@example.com/deploy.git');
    await writeFile(join(root, 'a.yaml'), 'a');
    git('add', '.');
    git('commit', '-qm', 'one');
    const commit = git('rev-parse', 'HEAD');
    const clean = { source: 'https://example.com/deploy.git', revision: `main@sha1:${commit}`, warnings: [] };
    expect(await origin(['a.yaml'])).toEqual(clean);
    git('checkout', '-q', '--detach');
    expect((await origin(['a.yaml'])).revision).toBe(`sha1:${commit}`);
    git('tag', 'v1.0');
    expect((await origin(['a.yaml'])).revision).toBe(`v1.0@sha1:${commit}`);
  });

  test('files that are changed, new or gone make it dirty, those that are left out do not', async () => {
    const { root, git, origin } = await repository();
    git('init', '-q', '-b', 'main');
    for (const name of ['a.yaml', 'b.yaml', '.gitignore']) await writeFile(join(root, name), name === '.gitignore' ? 'secret' : name);
    git('add', '.');
    git('commit', '-qm', 'one');
    const commit = git('rev-parse', 'HEAD');
    await writeFile(join(root, '.gitignore'), 'secret\nother\n');
    await writeFile(join(root, 'untracked.txt'), '');
    expect(await origin(['a.yaml', 'b.yaml'], isLeftOut)).toEqual({ revision: `main@sha1:${commit}`, warnings: [] });

    const dirty = `main@sha1:${commit}-dirty`;
    expect((await origin(['a.yaml', 'b.yaml', 'untracked.txt'], isLeftOut)).revision).toBe(dirty);
    // git would say nothing of a file that it ignores
    await writeFile(join(root, 'secret'), '');
    expect(await origin(['a.yaml', 'b.yaml', 'secret'], isLeftOut)).toEqual({
      revision: dirty,
      warnings: [`GIT_DIRTY not as in commit ${commit.slice(0, 12)}: secret (1 in all); the revision ends in -dirty`],
    });
    await writeFile(join(root, 'a.yaml'), 'changed');
    expect((await origin(['a.yaml', 'b.yaml'], isLeftOut)).revision).toBe(dirty);
    await writeFile(join(root, 'a.yaml'), 'a.yaml');
    await rm(join(root, 'b.yaml'));
    expect((await origin(['a.yaml'], isLeftOut)).revision).toBe(dirty);
  });

  test('nothing, without a word, outside a repository, before the first commit, and without git', async () => {
    const { env, root, git, origin } = await repository();
    expect(await origin([])).toEqual({ warnings: [] });
    git('init', '-q');
    expect(await origin([])).toEqual({ warnings: [] });
    expect(await gitOrigin({ ...env, PATH: root }, { root, files: [], ignores: () => false }, {})).toEqual({});
  });

  test('a repository that git refuses is told', async () => {
    const { root, git, origin } = await repository();
    git('init', '-q');
    await writeFile(join(root, '.git', 'config'), '[core\n');
    const { warnings, ...rest } = await origin([]);
    expect(rest).toEqual({});
    expect(warnings.join()).toMatch(/^GIT_UNREADABLE no source and revision are written for .*: (?:fatal|error): bad config line 1/);
  });
});
