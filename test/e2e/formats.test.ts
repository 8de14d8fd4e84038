import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { parseKitfile } from '../../src/kitfile/parse.ts';
import { copyGoldenInput, GOLDEN, type Sandbox, sandbox } from '../support/kit.ts';
import { startRegistry } from '../support/registry.ts';
import { inspect } from './formats-inspect.ts';

const layout = (name: string) => `oci:${join(GOLDEN, name)}:v1`;
/** What the golden Kitfile leaves out of any artifact. */
const LEFT = ['.kitignore', 'a..b.txt', 'src/scratch.tmp', 'src/lib/cache.tmp'];

async function expectInput(box: Sandbox, out: string, without: readonly string[] = []): Promise<void> {
  const expected = (await box.tree('src')).filter((path) => !LEFT.includes(path) && !without.includes(path));
  const tree = (await box.tree(out)).filter((path) => !path.startsWith('model_metadata.omlmd.'));
  expect(tree).toEqual(expected);
  for (const path of expected.filter((one) => !one.endsWith('/')))
    expect(await readFile(box.path(out, path)), path).toEqual(await readFile(box.path('src', path)));
  expect((await stat(box.path(out, 'src/run.sh'))).mode & 0o777).toBe(0o755);
}

async function withGoldenInput(): Promise<Sandbox> {
  const box = await sandbox();
  await copyGoldenInput(box.path('src'));
  return box;
}

const savedLayers = (text: string) => text.split('\n').filter((line) => /^Saved .* layer/.test(line));

describe('pack and unpack', () => {
  test.each([
    ['ModelPack, raw', '--use-model-pack', ['src/empty/']],
    ['ModelPack, tar', '--use-model-pack --layer-format tar', []],
    ['ModelPack, gzip', '--use-model-pack --compression gzip', []],
    ['ModelPack, zstd', '--to modelpack --compression zstd', []],
    ['Docker Model Runner', '--to docker-model', ['src/empty/']],
    ['OMLMD', '--to omlmd', ['src/empty/']],
  ])('%s: every file comes back, and the Kitfile with its comments', async (_, flags, without) => {
    const box = await withGoldenInput();
    await box.ok(`pack src -t tiny:v1 ${flags}`);
    await box.ok('unpack tiny:v1 -d out');
    await expectInput(box, 'out', without);
    // elsewhere nothing is known of the Kitfile's text, but all that it says
    await box.ok('push tiny:v1 oci:layout:v1');
    await box.ok('unpack oci:layout:v1 -d again --filter kitfile', { env: { KIT_HOME: box.path('elsewhere') } });
    const kitfileIn = async (folder: string) => parseKitfile(await readFile(box.path(folder, 'Kitfile'), 'utf8'), 'Kitfile').kitfile;
    expect(await kitfileIn('again')).toEqual(await kitfileIn('src'));
  });

  test('the same input gives the same digest, on any machine', async () => {
    const box = await withGoldenInput();
    const digestOf = async (flags: string) => (await box.ok(`pack src --no-cache ${flags}`)).trim().split('\n').at(-1);
    const all = ['--use-model-pack', '--use-model-pack --layer-format tar', '--to docker-model', '--to omlmd'];
    const first: (string | undefined)[] = [];
    for (const flags of all) first.push(await digestOf(flags));
    expect(first).toEqual([
      'Model saved: sha256:212ebff35f1425353f8b20a69deebf490efaf7f6f1f86cad19d4b0126c838a2c',
      'Model saved: sha256:7fa79c43874bbbce0935fd364c37eed1fc75f3e50af9ec68e6a609c185b01eea',
      'Model saved: sha256:e165b1b851dc60ac9977757e0aced77cf62a53485d0b052cb02fcb30336ea9cc',
      'Model saved: sha256:a8fb64c9d9d5d97a2a014bc1f5d50e6a1e5e5a44c6fb7335b3423d375a97f514',
    ]);
  });

  test('layers are those that others make: raw as modctl, tar as KitOps', async () => {
    const box = await withGoldenInput();
    const digests = async (reference: string) => (await inspect(box, reference)).manifest?.layers.map(({ digest }) => digest) ?? [];
    await box.ok('pack src -t tiny:raw --use-model-pack');
    const raw = new Set(await digests('tiny:raw'));
    // modctl packed one file that the Kitfile does not name
    const [unnamed, ...others] = (await digests(layout('modctl-raw'))).filter((digest) => !raw.has(digest));
    expect([unnamed !== undefined, others]).toEqual([true, []]);
    await box.ok('pack src -t tiny:tar --use-model-pack --layer-format tar');
    expect(await digests('tiny:tar')).toEqual(await digests(layout('kit-modelkit-tar')));
  });

  test('filters choose by kind, name, folder, file and glob, as with a ModelKit', async () => {
    const box = await withGoldenInput();
    await box.ok('pack src -t tiny:v1 --use-model-pack');
    const files = async (filter: string) => {
      const out = filter.replaceAll(/\W/g, '-');
      await box.ok(['unpack', 'tiny:v1', '-d', out, '--filter', filter]);
      return (await box.tree(out)).filter((path) => !path.endsWith('/'));
    };
    expect(await files('model')).toEqual([
      'config.json',
      'gguf/tiny-golden-F32.gguf',
      'tokenizer.json',
      ...['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors', 'model.safetensors.index.json'].map(
        (name) => `weights/${name}`,
      ),
    ]);
    expect(await files('datasets:train-v2')).toEqual(['data-v2/x.csv']);
    expect(await files('code:src')).toHaveLength(10);
    expect(await files('code:src/main.py')).toEqual(['src/main.py']);
    expect(await files('docs:docs/*.md')).toEqual(['docs/usage.md', 'docs/Überblick-模型.md']);
    expect(await files('kitfile')).toEqual(['Kitfile']);
  });

  test('every command works on it with no flag, through a registry too', async () => {
    const registry = await startRegistry();
    onTestFinished(() => registry.close());
    const box = await withGoldenInput();
    const remote = `${registry.host}/team/tiny`;
    await box.ok(`pack src -t ${remote}:v1 --use-model-pack --push --plain-http`);
    expect((await box.ok(`unpack ${remote}:v1 -d direct --plain-http`)).split('\n').length).toBeGreaterThan(20);
    await box.ok(`pull ${remote}:v1 --plain-http`);
    await box.ok(`tag ${remote}:v1 mine:v1`);
    expect(await box.ok('list')).toMatch(/^mine +v1 +Alice Example +tiny-golden /m);
    expect(await box.ok(`list ${remote} --plain-http`)).toMatch(/tiny +v1 +Alice Example +tiny-golden /);
    expect(await box.ok('info mine:v1 -f model.path')).toBe('./weights\n');
    expect(await box.ok(`diff mine:v1 remote://${remote}:v1 --plain-http`)).toContain('identical');
    await box.ok('remove mine:v1');
    expect((await box.kit('info mine:v1')).status).toBe(3);
  });

  test('an unchanged file is not read again, whatever the format', async () => {
    const box = await withGoldenInput();
    expect(savedLayers(await box.ok('pack src -t tiny:v1 --use-model-pack'))).not.toEqual([]);
    expect(savedLayers(await box.ok('pack src -t tiny:v2 --to docker-model'))).toEqual([]);
  });
});

describe('what a format cannot hold is refused before a byte is packed', () => {
  test.each([
    ['--use-model-pack --layer-format raw --compression gzip', 1, 'raw layers of a ModelPack cannot be compressed'],
    ['--to docker-model --layer-format tar', 1, 'no tar layers'],
    ['--to omlmd --compression zstd', 1, 'no compression'],
    ['--to docker-model', 1, 'names no such file'],
    ['--to nonsense', 2, 'invalid value `nonsense` for --to'],
    ['--use-model-pack --to omlmd', 2, 'contradict each other'],
  ])('%s', async (flags, status, message) => {
    const box = await sandbox();
    await box.write({ 'src/Kitfile': 'manifestVersion: 1.0.0\nmodel:\n  path: a.onnx\n', 'src/a.onnx': 'weights' });
    const run = await box.kit(`pack src -t tiny:v1 ${flags}`);
    expect(run.status).toBe(status);
    expect(run.stderr).toContain(message);
    expect(run.stderr).toContain('hint: ');
    expect(await box.ok('list')).not.toContain('tiny');
  });

  test('more files than a manifest has room for', async () => {
    const box = await sandbox();
    const name = 'n'.repeat(200);
    const files = Array.from({ length: 4000 }, (_, index) => [`src/code/${name}${index}`, ''] as const);
    await box.write({ 'src/Kitfile': 'manifestVersion: 1.0.0\ncode:\n  - path: code\n', ...Object.fromEntries(files) });
    const run = await box.kit('pack src -t tiny:v1 --use-model-pack');
    expect(run).toMatchObject({ status: 6, stderr: expect.stringContaining('the manifest of 4000 layers') as unknown });
    expect(run.stderr).toContain('--layer-format tar');
    await box.ok('pack src -t tiny:v1 --use-model-pack --layer-format tar');
  });
});
