import { execFile, spawnSync } from 'node:child_process';
import { promisify } from 'node:util';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { copyGoldenInput, GOLDEN, type Sandbox, sandbox } from '../support/kit.ts';
import { serveLayout } from '../support/kit-serve.ts';

const has = (program: string, flag: string) => spawnSync(program, [flag]).status === 0;
const BASE = `oci:${join(GOLDEN, 'modelcar')}:v1`;

/** Not synchronously: a server may be in this process. */
async function run(box: Sandbox, program: string, ...args: string[]): Promise<string> {
  const { stdout, stderr } = await promisify(execFile)(program, args, { cwd: box.root, maxBuffer: 64 * 1024 * 1024 });
  return stdout + stderr;
}

async function packed(): Promise<Sandbox> {
  const box = await sandbox();
  await copyGoldenInput(box.path('src'));
  await box.ok('pack src -t tiny:v1');
  await box.ok('unpack tiny:v1 -d whole');
  return box;
}

async function expectModel(box: Sandbox, models: string): Promise<void> {
  const expected = (await box.tree('whole')).filter((path) => path !== 'Kitfile');
  expect((await box.tree(models)).filter((path) => expected.includes(path))).toEqual(expected);
  for (const path of expected) {
    const { mode } = await stat(box.path(models, path));
    const wanted = path.endsWith('/') || path === 'src/run.sh' ? 0o755 : 0o644;
    expect(mode & 0o777, path).toBe(wanted);
  }
  for (const path of expected.filter((one) => !one.endsWith('/')))
    expect(await readFile(box.path(models, path)), path).toEqual(await readFile(box.path('whole', path)));
}

describe.skipIf(!has('umoci', '--version'))('umoci', () => {
  test.each([
    ['of the model alone', ''],
    ['on a base', ` --base ${BASE}`],
  ])('unpacks a Modelcar %s, digests and diffIds checked, and reads its history', async (_, flags) => {
    const box = await packed();
    await box.ok(`convert tiny:v1 oci:car:v1 --to modelcar --platform linux/amd64${flags}`);
    await run(box, 'umoci', 'unpack', '--rootless', '--image', 'car:v1', 'bundle');
    await expectModel(box, 'bundle/rootfs/models');
    const { history } = JSON.parse(await run(box, 'umoci', 'stat', '--json', '--image', 'car:v1')) as {
      history: { created_by: string; layer: object | null }[];
    };
    expect(history.every(({ layer }) => layer !== null)).toBe(true);
    expect(history.map(({ created_by }) => created_by)).toContain('kit convert: models/weights');
  });
});

describe.skipIf(!has('skopeo', '--version'))('skopeo', () => {
  test('chooses an image of the index by its platform, and copies the whole index', async () => {
    const box = await packed();
    await box.ok('convert tiny:v1 oci:car:v1 --to modelcar --with-modelpack');
    for (const arch of ['amd64', 'arm64']) {
      const seen = JSON.parse(
        await run(box, 'skopeo', '--override-os=linux', `--override-arch=${arch}`, 'inspect', 'oci:car:v1'),
      ) as object;
      expect(seen).toMatchObject({ Architecture: arch, Os: 'linux' });
    }
    await run(box, 'skopeo', '--insecure-policy', 'copy', '--all', 'oci:car:v1', 'oci:theirs:v1');
    await box.ok('unpack oci:theirs:v1 -d out');
    expect((await box.tree('out')).filter((path) => path !== 'Kitfile')).toEqual(
      (await box.tree('whole')).filter((path) => path !== 'Kitfile'),
    );
  });

  test('unpacks the layers as those of an image', async () => {
    const box = await packed();
    await box.ok('convert tiny:v1 oci:car:v1 --to modelcar --platform linux/amd64');
    await run(box, 'skopeo', '--insecure-policy', 'copy', 'oci:car:v1', 'docker-archive:car.tar:car:v1');
    expect(await run(box, 'tar', '-tf', 'car.tar')).toContain('manifest.json');
  });
});

describe.skipIf(!has('crane', 'version'))('crane', () => {
  // without --fast it takes every layer of an image for gzip, olot's too
  test('validates and exports an image in a registry', async () => {
    const box = await packed();
    const server = await serveLayout();
    onTestFinished(() => server.close());
    await box.ok(`convert tiny:v1 ${server.host}/team/car:v1 --to modelcar --base ${BASE} --plain-http`);
    expect(await run(box, 'crane', 'validate', '--fast', '--insecure', '--remote', `${server.host}/team/car:v1`)).toContain('PASS');
    expect(await run(box, 'crane', 'export', '--insecure', `${server.host}/team/car:v1`, 'rootfs.tar')).toBe('');
    expect(await run(box, 'tar', '-tf', 'rootfs.tar')).toContain('models/weights/model-00001-of-00002.safetensors');
  });
});
