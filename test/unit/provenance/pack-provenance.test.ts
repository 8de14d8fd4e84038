import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { attachProvenance } from '../../../src/operations/pack/provenance.ts';
import { pack, type PackResult } from '../../../src/operations/pack/pack.ts';
import { sourceState } from '../../../src/operations/artifact/source-revision.ts';
import { parseLocation } from '../../../src/oci/reference.ts';
import { type Workspace, workspace } from '../operations/sandbox.ts';
import { slsaErrors } from './slsa-schema.ts';

const hasGit = spawnSync('git', ['--version']).status === 0;
const KITFILE = 'manifestVersion: 1.0.0\npackage: {name: m}\nmodel: {path: w.bin}\ndatasets: [{name: d, path: data}]\n';
const FILES = { 'm/Kitfile': KITFILE, 'm/w.bin': 'weights', 'm/data/a': '1' };

function git(box: Workspace, folder: string, ...args: string[]): string {
  const quiet = [
    '-c',
    'user.name=t',
    '-c',
    'user.email=t@example.com',
    '-c',
    'protocol.file.allow=always',
    '-c',
    'init.defaultBranch=main',
  ];
  const { status, stdout, stderr } = spawnSync('git', [...quiet, ...args], { cwd: box.path(folder), encoding: 'utf8' });
  if (status !== 0) throw new Error(`git ${args.join(' ')}: ${stderr}`);
  return stdout.trim();
}

function repository(box: Workspace, folder: string): string {
  git(box, folder, 'init', '-q');
  git(box, folder, 'add', '-A');
  git(box, folder, 'commit', '-qm', 'x');
  return git(box, folder, 'rev-parse', 'HEAD');
}

describe.skipIf(!hasGit)('the state of a working tree', { timeout: 60_000 }, () => {
  test('as committed, then not', async () => {
    const box = workspace();
    box.write({ ...FILES, 'm/.gitignore': '*.log\n' });
    const commit = repository(box, 'm');
    git(box, 'm', 'remote', 'add', 'origin', 'https://github.com/team/m.git');
    const clean = { vcs: 'git', commit, ref: 'refs/heads/main', path: '', modified: 0, untracked: 0, ignored: 0, submodules: [] };
    const state = async (folder = 'm'): Promise<unknown> => await sourceState(box.kit, box.path(folder), {});
    expect(await state()).toMatchObject({ ...clean, remote: 'https://github.com/team/m.git' });
    box.write({ 'm/w.bin': 'others', 'm/new\nname': 'n', 'm/x.log': '' });
    git(box, 'm', 'mv', 'data/a', 'data/b');
    expect(await state()).toMatchObject({ ...clean, modified: 2, untracked: 1, ignored: 1 });
    // what lies beside the directory does not count
    expect(await state('m/data')).toMatchObject({ ...clean, path: 'data', modified: 1 });
  });

  test('on a tag', async () => {
    const box = workspace();
    box.write(FILES);
    const commit = repository(box, 'm');
    git(box, 'm', 'tag', 'v1');
    git(box, 'm', 'checkout', '-q', commit);
    expect(await sourceState(box.kit, box.path('m'), {})).toMatchObject({ commit, ref: 'refs/tags/v1', remote: undefined });
  });

  test('submodules: as recorded, changed, missing', async () => {
    const box = workspace();
    box.write({ ...FILES, 'lib/x': '1', 'gone/y': '1' });
    const first = repository(box, 'lib');
    const gone = repository(box, 'gone');
    repository(box, 'm');
    git(box, 'm', 'submodule', 'add', '-q', box.path('lib'), 'lib');
    git(box, 'm', 'submodule', 'add', '-q', box.path('gone'), 'gone');
    git(box, 'm', 'commit', '-qm', 'submodules');
    const submodules = async (): Promise<unknown> => await sourceState(box.kit, box.path('m'), {});
    expect(await submodules()).toMatchObject({
      modified: 0,
      submodules: [
        { path: 'gone', commit: gone, state: 'as recorded' },
        { path: 'lib', commit: first, state: 'as recorded' },
      ],
    });
    git(box, 'm/lib', 'commit', '-q', '--allow-empty', '-m', 'y');
    git(box, 'm', 'submodule', 'deinit', '-f', '-q', 'gone');
    expect(await submodules()).toMatchObject({
      modified: 1,
      submodules: [
        { path: 'gone', commit: gone, state: 'missing' },
        { path: 'lib', commit: git(box, 'm/lib', 'rev-parse', 'HEAD'), state: 'changed' },
      ],
    });
  });

  test('nothing that the repository configures is run', async () => {
    const box = workspace();
    box.write(FILES);
    repository(box, 'm');
    const touch = `touch ${box.path('ran')}`;
    git(box, 'm', 'config', 'core.fsmonitor', touch);
    await sourceState(box.kit, box.path('m'), {});
    expect(() => rmSync(box.path('ran'))).toThrow('ENOENT');
  });

  test('no repository, and one without a commit', async () => {
    const box = workspace();
    box.write({ 'm/x': '', 'n/x': '' });
    expect(await sourceState(box.kit, box.path('m'), {})).toEqual({ vcs: 'none', reason: 'the directory is in no git repository' });
    git(box, 'n', 'init', '-q');
    expect(await sourceState(box.kit, box.path('n'), {})).toEqual({ vcs: 'none', reason: 'the git repository has no commit' });
  });
});

async function packed(box: Workspace, name: string, folder = 'm'): Promise<PackResult> {
  return await pack(box.kit, { directory: box.path(folder), destination: parseLocation(name) });
}

describe('provenance of a pack', () => {
  interface Predicate {
    buildDefinition: {
      internalParameters: unknown;
      externalParameters: unknown;
      resolvedDependencies: { name: string; annotations?: unknown }[];
    };
  }

  async function provenanceOf(box: Workspace, name: string, result: PackResult, folder = 'm'): Promise<Predicate> {
    const args = {
      directory: box.path(folder),
      location: parseLocation(name),
      packed: result,
      parameters: {},
      startedOn: '2026-01-31T12:00:00.000Z',
    };
    const { predicate, signed } = await attachProvenance(box.kit, args);
    expect(signed).toBe(false);
    expect(slsaErrors(predicate)).toEqual([]);
    return predicate as unknown as Predicate;
  }

  test('the digest stays; no git is said', async () => {
    const box = workspace();
    box.write(FILES);
    const before = await packed(box, 'm:v1');
    const { buildDefinition } = await provenanceOf(box, 'm:v1', before);
    expect((await packed(box, 'm:v1')).digest).toBe(before.digest);
    expect(buildDefinition.internalParameters).toMatchObject({ source: { vcs: 'none' } });
    expect(buildDefinition.externalParameters).toEqual({ reference: 'm:v1' });
    expect(buildDefinition.resolvedDependencies).toEqual([
      { name: 'Kitfile', digest: { sha256: before.inputs?.kitfile.digest.slice(7) } },
      {
        name: 'dataset d',
        digest: { sha256: before.layers[1]?.descriptor.digest.slice(7) },
        mediaType: before.layers[1]?.descriptor.mediaType,
        annotations: { path: 'data' },
      },
    ]);
  });

  test('the base ModelKit by digest', async () => {
    const box = workspace();
    box.write({ ...FILES, 'n/Kitfile': 'manifestVersion: 1.0.0\nmodel: {path: "base:v1"}\ncode: [{path: x}]\n', 'n/x/y': '' });
    const base = await packed(box, 'base:v1');
    const own = await packed(box, 'own:v1', 'n');
    const { buildDefinition } = await provenanceOf(box, 'own:v1', own, 'n');
    expect(buildDefinition.resolvedDependencies).toContainEqual({
      name: 'base ModelKit',
      uri: 'oci://base:v1',
      digest: { sha256: base.digest.slice(7) },
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
    });
  });

  test.skipIf(!hasGit)('changes that are in no commit are said', { timeout: 30_000 }, async () => {
    const box = workspace();
    box.write(FILES);
    const commit = repository(box, 'm');
    box.write({ 'm/w.bin': 'others' });
    const { buildDefinition } = await provenanceOf(box, `oci:${box.path('lay')}:v1`, await packed(box, `oci:${box.path('lay')}:v1`));
    expect(buildDefinition.resolvedDependencies[0]).toEqual({
      name: 'source',
      digest: { gitCommit: commit },
      annotations: { dirty: true, modified: 1, untracked: 0, ignored: 0 },
    });
    // a folder of this machine is nobody's business
    expect(JSON.stringify(buildDefinition)).not.toContain(box.root);
  });
});
