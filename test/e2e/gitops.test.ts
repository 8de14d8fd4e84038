import { execFile, spawnSync } from 'node:child_process';
import { chmod, readFile, stat, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { Digest } from '../../src/oci/digest.ts';
import { parseIndex, parseManifest } from '../../src/oci/manifest.ts';
import { assembleGitops } from '../../src/formats/gitops.ts';
import { loadManifest, readBlob } from '../support/golden-layout.ts';
import { GOLDEN, type Sandbox, sandbox } from '../support/kit.ts';
import { startRegistry, type TestRegistry } from '../support/registry.ts';

const run = promisify(execFile);
const hasOras = spawnSync('oras', ['version']).status === 0;

const MANIFESTS = {
  'deploy/kustomization.yaml': 'resources: [base/app.yaml]\n',
  'deploy/base/app.yaml': 'kind: ConfigMap\n',
  'deploy/run.sh': '#!/bin/sh\n',
  'deploy/.sourceignore': 'notes/\n',
  'deploy/notes/todo.md': 'later\n',
  'deploy/.git/config': 'secret\n',
} as const;
const KEPT = ['.sourceignore', 'base/', 'base/app.yaml', 'kustomization.yaml', 'run.sh'];

async function open(): Promise<{ readonly box: Sandbox; readonly registry: TestRegistry; readonly repository: string }> {
  const box = await sandbox();
  await box.write(MANIFESTS);
  const registry = await startRegistry();
  onTestFinished(() => registry.close());
  return { box, registry, repository: `${registry.host}/team/deploy` };
}

/** What a run left behind, but for what every run leaves. */
async function created(box: Sandbox): Promise<string[]> {
  return (await box.tree('.')).filter((path) => !path.startsWith('.cache/') && !path.startsWith('home/'));
}

interface Pushed {
  readonly digest: string;
  readonly layer: { readonly digest: Digest; readonly existed: boolean };
  readonly fileCount: number;
}

async function push(box: Sandbox, reference: string, ...flags: string[]): Promise<Pushed> {
  return JSON.parse(await box.ok(['gitops', 'push', 'deploy', reference, '--no-git', '--format', 'json', ...flags])) as Pushed;
}

test('pushed, and pulled back as it was', async () => {
  const { box, repository } = await open();
  const { digest, fileCount } = await push(box, `${repository}:v1,prod`);
  expect(fileCount).toBe(4);
  await box.ok(['gitops', 'pull', `${repository}:prod`, '-d', 'out']);
  expect(await box.tree('out')).toEqual(KEPT);
  expect(await readFile(box.path('out/base/app.yaml'), 'utf8')).toBe('kind: ConfigMap\n');
  expect((await stat(box.path('out/run.sh'))).mode & 0o777).toBe(0o755);
  expect((await stat(box.path('out/kustomization.yaml'))).mode & 0o777).toBe(0o644);
  const again = JSON.parse(await box.ok(['gitops', 'pull', `${repository}@${digest}`, '-d', 'again', '--format', 'json'])) as object;
  expect(again).toMatchObject({ digest, fileCount: 4, directory: '<TMP>/again' });
});

test('the same files give the same digest: in another place, at another time, with another umask', async () => {
  const { box, registry, repository } = await open();
  const first = await push(box, `${repository}:v1`);
  const other = await sandbox();
  await other.write(MANIFESTS);
  await other.write({ 'deploy/notes/more.md': 'left out\n', 'deploy/.git/HEAD': 'left out\n' });
  for (const [path, mode] of [
    ['deploy', 0o700],
    ['deploy/base', 0o770],
    ['deploy/base/app.yaml', 0o600],
    ['deploy/run.sh', 0o700],
  ] as const)
    await chmod(other.path(path), mode);
  registry.clear();
  expect(await push(other, `${repository}:v2`)).toMatchObject({ digest: first.digest, layer: { digest: first.layer.digest } });
  // the layer is there already
  registry.clear();
  expect(await push(box, `${repository}:v3`)).toMatchObject({ layer: { existed: true } });
  expect(registry.log().filter((line) => line.startsWith('PATCH') || line.startsWith('POST'))).toEqual([]);
});

test('the layer is a gzip of files at the root, without times', async () => {
  const { box } = await open();
  await push(box, 'oci:layout:v1', '--created', '2026-01-31T12:00:00Z', '--source', 'https://example.com/x', '--revision', 'main@sha1:abc');
  const index = parseIndex(await readFile(box.path('layout/index.json')), 'layout');
  const hex = index.manifests[0]?.digest.slice('sha256:'.length) ?? '';
  const manifest = parseManifest(await readFile(box.path('layout/blobs/sha256', hex)), 'layout');
  expect(manifest).toMatchObject({
    artifactType: 'application/vnd.cncf.flux.config.v1+json',
    layers: [{ mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip' }],
    annotations: {
      'org.opencontainers.image.created': '2026-01-31T12:00:00Z',
      'org.opencontainers.image.revision': 'main@sha1:abc',
      'org.opencontainers.image.source': 'https://example.com/x',
    },
  });
  const digest = manifest.layers[0]?.digest ?? '';
  const tar = gunzipSync(await readFile(box.path('layout', 'blobs', ...digest.split(':'))));
  await box.write({ 'layer.tar': tar });
  const { stdout } = await run('tar', ['-tf', box.path('layer.tar')]);
  expect(stdout.trim().split('\n')).toEqual(['.sourceignore', 'base', 'base/app.yaml', 'kustomization.yaml', 'run.sh']);
});

describe('what others made', () => {
  test('oras, a tar.gz under its type', async () => {
    const box = await sandbox();
    await box.ok(['gitops', 'pull', `oci:${join(GOLDEN, 'oras-argo-correct')}:v1`, '-d', 'out']);
    expect(await box.tree('out')).toEqual(['configmap.yaml', 'kustomization.yaml']);
    for (const name of await box.tree('out')) {
      expect(await readFile(box.path('out', name), 'utf8')).toBe(await readFile(join(GOLDEN, 'oras-argo-input', name), 'utf8'));
    }
  });

  test('oras, a tar.gz under the wrong type: neither Argo CD nor Flux could read it', async () => {
    const box = await sandbox();
    const { status, stderr } = await box.kit(['gitops', 'pull', `oci:${join(GOLDEN, 'tampered/oras-argo-mislabelled')}:v1`, '-d', 'out']);
    expect(status).toBe(6);
    expect(stderr).toContain(
      'hint: if it is compressed, it was pushed under a wrong type: `oras push` wants FILE:application/vnd.oci.image.layer.v1.tar+gzip',
    );
    expect(await created(box)).toEqual([]);
  });

  test.skipIf(!hasOras)('oras, live: a directory, and the types of `flux push artifact`; and oras pulls ours', async () => {
    const { box, repository } = await open();
    const oras = async (...args: string[]): Promise<void> => {
      await run('oras', [...args, '--plain-http', '--no-tty'], { cwd: box.root, env: { ...process.env, HOME: box.root } });
    };
    await oras('push', `${repository}:dir`, 'deploy/base');
    await box.ok(['gitops', 'pull', `${repository}:dir`, '-d', 'dir']);
    expect(await box.tree('dir')).toEqual(['deploy/', 'deploy/base/', 'deploy/base/app.yaml']);

    await run('tar', ['-C', box.path('deploy'), '-czf', box.path('flux.tar.gz'), 'base', 'kustomization.yaml']);
    await box.write({ 'config.json': '{}' });
    const config = 'config.json:application/vnd.cncf.flux.config.v1+json';
    await oras('push', `${repository}:flux`, '--config', config, 'flux.tar.gz:application/vnd.cncf.flux.content.v1.tar+gzip');
    await box.ok(['gitops', 'pull', `${repository}:flux`, '-d', 'flux']);
    expect(await box.tree('flux')).toEqual(['base/', 'base/app.yaml', 'kustomization.yaml']);

    await push(box, `${repository}:ours`);
    await oras('pull', `${repository}:ours`, '-o', 'pulled');
    const { stdout } = await run('tar', ['-tzf', box.path('pulled/manifests.tar.gz')]);
    expect(stdout).toContain('kustomization.yaml\n');
  });

  // each layer of the golden artifact as a source of manifests: one of them at least is hostile
  test.each(['tar-dotdot', 'tar-absolute', 'tar-symlink-file', 'tar-symlink-dir', 'tar-hardlink-outside', 'tar-device', 'tar-truncated'])(
    'hostile: %s',
    async (name) => {
      const { box, registry, repository } = await open();
      const statuses: (number | null)[] = [];
      for (const { digest, size } of loadManifest(`tampered/${name}`).layers) {
        const mediaType = 'application/vnd.oci.image.layer.v1.tar';
        const made = assembleGitops({ mediaType, digest, size }, {});
        await registry.addBlob('team/deploy', readBlob(`tampered/${name}`, { digest }));
        await registry.addBlob('team/deploy', made.config.bytes);
        const { digest: manifest } = registry.addManifest('team/deploy', made.manifest);
        const target = `a/b/${digest.slice(-8)}`;
        const { status } = await box.kit(['gitops', 'pull', `${repository}@${manifest}`, '-d', target]);
        statuses.push(status);
        const found = (await created(box)).filter((path) => !path.startsWith('deploy/'));
        expect(found.filter((path) => !path.startsWith('a/'))).toEqual([]);
        expect(
          found.some((path) => path.startsWith(target)),
          `${status}`,
        ).toBe(status === 0);
      }
      expect(new Set(statuses)).toContain(6);
      expect(statuses.every((status) => status === 0 || status === 6)).toBe(true);
    },
  );

  test('a ModelKit is no source of manifests', async () => {
    const box = await sandbox();
    const { status, stderr } = await box.kit(['gitops', 'pull', `oci:${join(GOLDEN, 'kit-modelkit-tar')}:v1`, '-d', 'out']);
    expect(status).toBe(1);
    expect(stderr).toContain('a model is unpacked with `kit unpack`');
    expect(await created(box)).toEqual([]);
  });
});

describe('what goes wrong', () => {
  test('files in the way stay, until they may go', async () => {
    const { box, repository } = await open();
    await push(box, `${repository}:v1`);
    await box.write({ 'out/run.sh': 'mine\n' });
    expect(await box.kit(['gitops', 'pull', `${repository}:v1`, '-d', 'out'])).toMatchObject({ status: 1 });
    expect(await box.tree('out')).toEqual(['run.sh']);
    await box.ok(['gitops', 'pull', `${repository}:v1`, '-d', 'out', '--ignore-existing']);
    expect(await readFile(box.path('out/run.sh'), 'utf8')).toBe('mine\n');
    await box.ok(['gitops', 'pull', `${repository}:v1`, '-d', 'out', '--overwrite']);
    expect(await readFile(box.path('out/run.sh'), 'utf8')).toBe('#!/bin/sh\n');
  });

  test('a layer that was changed, and one that grows beyond the limit', async () => {
    const { box, registry, repository } = await open();
    const { layer } = await push(box, `${repository}:v1`);
    expect(await box.kit(['gitops', 'pull', `${repository}:v1`, '-d', 'out', '--max-size', '1KiB'])).toMatchObject({
      status: 6,
      stderr: expect.stringContaining('raise `--max-size`') as string,
    });
    await registry.storage.replaceBlob(layer.digest, Buffer.from('other'));
    expect(await box.kit(['gitops', 'pull', `${repository}:v1`, '-d', 'out'])).toMatchObject({ status: 6 });
    expect(await created(box)).not.toContain('out/');
  });

  test('an empty directory, a link out, a registry that is missing, an unknown command', async () => {
    const { box, repository } = await open();
    await box.write({ 'empty/.gitignore': '' });
    expect(await box.kit(['gitops', 'push', 'empty', `${repository}:v1`])).toMatchObject({
      status: 3,
      stderr: expect.stringContaining('empty holds no file to push') as string,
    });
    await symlink('/etc/hostname', box.path('deploy/host'));
    expect(await box.kit(['gitops', 'push', 'deploy', `${repository}:v1`])).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('name it in .sourceignore') as string,
    });
    expect(await box.kit(['gitops', 'push', 'deploy/base', 'deploy:v1'])).toMatchObject({ status: 2 });
    expect(await box.kit(['gitops', 'tag'])).toMatchObject({ status: 2 });
    expect(await box.kit(['gitops', 'pull', `${repository}:gone`])).toMatchObject({ status: 3 });
  });

  test('pictures and archives are left out with a word', async () => {
    const { box, repository } = await open();
    await box.write({ 'deploy/logo.png': 'x', 'deploy/chart.tar.gz': 'x' });
    const { status, stderr } = await box.kit(['gitops', 'push', 'deploy', `${repository}:v1`, '--no-git']);
    expect(status).toBe(0);
    expect(stderr).toContain('warning: pictures and archives are left out, as Flux does (2: chart.tar.gz, logo.png)');
  });
});

test('only if it is signed', async () => {
  const { box, repository } = await open();
  await push(box, `${repository}:v1`);
  const env = { KIT_KEY_PASSWORD: 'x' };
  await box.ok('generate-key-pair', { env });
  const pull = ['gitops', 'pull', `${repository}:v1`, '-d', 'out', '--verify', '--key', 'cosign.pub'];
  expect(await box.kit(pull)).toMatchObject({ status: 6 });
  expect(await created(box)).not.toContain('out/');
  await box.ok(['sign', `${repository}:v1`, '--key', 'cosign.key'], { env });
  await box.ok(pull);
  expect(await box.tree('out')).toEqual(KEPT);
});
