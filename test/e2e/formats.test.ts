import { existsSync } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { parseKitfile } from '../../src/kitfile/parse.ts';
import { copyGoldenInput, GOLDEN, type Sandbox, sandbox } from '../support/kit.ts';
import { startRegistry } from '../support/registry.ts';
import { dockerArtifact, makeLayout, modelpackArtifact } from './formats-layout.ts';

const layout = (name: string) => `oci:${join(GOLDEN, name)}:v1`;
/** What the golden Kitfile leaves out of any artifact. */
const LEFT = ['.kitignore', 'a..b.txt', 'src/scratch.tmp', 'src/lib/cache.tmp'];

interface Inspected {
  readonly digest: string;
  readonly format?: string;
  readonly description?: string;
  readonly problem?: string;
  readonly kitfile?: { readonly model?: Readonly<Record<string, unknown>> };
  readonly manifest?: {
    readonly config: { readonly digest: string };
    readonly layers: readonly { readonly digest: string; readonly mediaType: string }[];
  };
  readonly index?: { readonly manifests: readonly unknown[] };
}

const inspect = async (box: Sandbox, ...args: string[]) => JSON.parse(await box.ok(['inspect', ...args])) as Inspected;

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
      'Model saved: sha256:255ee571030e3b2d899a245d5330c3c36b1561c0883582ce7d5c09fa0939739f',
      'Model saved: sha256:b69700a3b55b4e452ae575b23928584b82b705f2de08afa781d3de3fe87c24d6',
      'Model saved: sha256:fa13fb6ff910e45cf7985edd84410a84efa0574c3e18b17084b6ba123c84cf29',
      'Model saved: sha256:dfd24a05ccd282732d02e301896f8221439b1a976758b472a617d51108868977',
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
    const again = (text: string) => text.split('\n').filter((line) => line.startsWith('Saved ') && line.includes('layer'));
    expect(again(await box.ok('pack src -t tiny:v1 --use-model-pack'))).not.toEqual([]);
    expect(again(await box.ok('pack src -t tiny:v2 --to docker-model'))).toEqual([]);
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

describe('artifacts of others', () => {
  test.each([
    [
      'modctl-raw',
      'modelpack',
      ['a..b.txt', 'config.json', 'src/run.sh', 'weights/model-00001-of-00002.safetensors', 'docs/Überblick-模型.md'],
    ],
    [
      'modctl-tar',
      'modelpack',
      ['a..b.txt', 'config.json', 'src/run.sh', 'weights/model-00001-of-00002.safetensors', 'docs/Überblick-模型.md'],
    ],
  ] as const)('%s is unpacked, shown, listed, tagged, compared and removed', async (name, format, some) => {
    const box = await withGoldenInput();
    expect(await inspect(box, layout(name))).toMatchObject({
      format,
      description: 'ModelPack',
      kitfile: { model: { name: 'tiny-golden' } },
    });
    expect(await box.ok(['info', layout(name), '-f', 'model.format'])).toBe('safetensors\n');
    await box.ok(['unpack', layout(name), '-d', 'out']);
    expect((await box.tree('out')).filter((path) => !path.endsWith('/') && path !== 'Kitfile')).toHaveLength(13);
    for (const path of some) expect(await readFile(box.path('out', path)), path).toEqual(await readFile(box.path('src', path)));
    expect((await stat(box.path('out/src/run.sh'))).mode & 0o777).toBe(0o755);
    await box.ok(['unpack', layout(name), '-d', 'docs', '--filter', 'docs']);
    expect((await box.tree('docs')).filter((path) => !path.endsWith('/'))).toEqual([
      'LICENSE',
      'README.md',
      'docs/usage.md',
      'docs/Überblick-模型.md',
    ]);

    const registry = await startRegistry();
    onTestFinished(() => registry.close());
    await box.ok(['push', layout(name), `${registry.host}/their/model:v1`, '--plain-http']);
    await box.ok(`pull ${registry.host}/their/model:v1 --plain-http`);
    await box.ok(`tag ${registry.host}/their/model:v1 mine:v2`);
    expect(await box.ok('list')).toMatch(/^mine +v2 +<none> +tiny-golden /m);
    expect(await box.ok(['diff', 'mine:v2', `${registry.host}/their/model:v1`])).toContain('identical');
    await box.ok('remove mine:v2');
  });

  test('omlmd', async () => {
    const box = await sandbox();
    expect(await inspect(box, layout('omlmd'))).toMatchObject({
      format: 'omlmd',
      kitfile: { model: { format: 'gguf', license: 'Apache-2.0', parameters: { accuracy: 0.9777777777777777, nested: { b: 2 } } } },
    });
    await box.ok(['unpack', layout('omlmd'), '-d', 'out']);
    expect(await box.tree('out')).toEqual(['Kitfile', 'model_metadata.omlmd.json', 'model_metadata.omlmd.yaml', 'tiny-golden-F32.gguf']);
    // and again to OMLMD: the properties are the same
    await box.ok(['pack', 'out', '-t', 'tiny:again', '--to', 'omlmd'], undefined);
    const parameters = async (reference: string) => (await inspect(box, reference)).kitfile?.model?.['parameters'];
    expect(await parameters('tiny:again')).toEqual(await parameters(layout('omlmd')));
  });

  test('olot: of an index with an image and a ModelPack the ModelPack is read', async () => {
    const box = await sandbox();
    expect(await inspect(box, layout('modelcar-olot'))).toMatchObject({
      digest: 'sha256:43cacc5287589b4cb8f8f3ad7023fcaf6451ed3ac41e1e80af66a2f6a3890f34',
      format: 'modelpack',
    });
    await box.ok(['unpack', layout('modelcar-olot'), '-d', 'out']);
    expect(await box.tree('out')).toEqual(expect.arrayContaining(['models/config.json', 'models/README.md']));
  });

  test('Docker Model Runner, GGUF and directory', async () => {
    const box = await sandbox();
    const facts = { quantization: 'MOSTLY_Q4_K_M', parameters: '8.03B', architecture: 'llama', size: '4.58GiB', context_size: 8192 };
    await makeLayout(
      box.path('gguf'),
      dockerArtifact(
        1,
        [
          ['gguf.v3', undefined, 'weights'],
          ['license', undefined, 'terms'],
        ],
        facts,
      ),
    );
    await box.ok('unpack oci:gguf:v1 -d out1');
    expect(await box.tree('out1')).toEqual(['Kitfile', 'LICENSE', 'model.gguf']);
    expect(await box.ok('info oci:gguf:v1')).toBe(
      [
        'manifestVersion: 1.0.0',
        'model:',
        '  path: model.gguf',
        '  format: gguf',
        '  parameters:',
        '    architecture: llama',
        '    context_size: 8192',
        '    parameters: 8.03B',
        '    quantization: MOSTLY_Q4_K_M',
        '    size: 4.58GiB',
        'docs:',
        '  - path: LICENSE',
        '',
      ].join('\n'),
    );
    const files = [
      ['safetensors', 'unet/a.safetensors', 'weights'],
      ['model.file', 'config.json', '{}'],
    ] as const;
    await makeLayout(box.path('directory'), dockerArtifact(2, files, { format: 'safetensors' }));
    expect(await inspect(box, 'oci:directory:v1')).toMatchObject({ format: 'docker-model', description: 'Docker Model Runner model' });
    await box.ok('unpack oci:directory:v1 -d out2 --filter model:unet/*');
    expect(await box.tree('out2')).toEqual(['unet/', 'unet/a.safetensors']);
  });

  test("Docker's own ModelPack, and the names from before the CNCF", async () => {
    const box = await sandbox();
    const { layers, ...rest } = modelpackArtifact([
      ['weight', 'm.gguf', 'weights'],
      ['doc', 'README.md', 'text'],
    ]);
    const older = layers.map((layer) => ({ ...layer, type: layer.type.replace('weight.v1.raw', 'weight.v1.gguf') }));
    await makeLayout(box.path('docker'), { layers: older, ...rest });
    await makeLayout(
      box.path('legacy'),
      modelpackArtifact(
        [
          ['weight', 'm.gguf', 'weights'],
          ['doc', 'README.md', 'text'],
        ],
        'cnai',
      ),
    );
    for (const name of ['docker', 'legacy']) {
      await box.ok(`unpack oci:${name}:v1 -d ${name}-out`);
      expect(await box.tree(`${name}-out`), name).toEqual(['Kitfile', 'README.md', 'm.gguf']);
      expect(await box.ok(`info oci:${name}:v1 -f model.path`)).toBe('m.gguf\n');
    }
  });
});

describe('any other artifact', () => {
  test.each([
    ['modelcar', 'artifact', 'container image for linux/amd64'],
    ['oras-argo-correct', 'artifact', 'Flux source'],
  ])('inspect of %s says what it is', async (name, format, description) => {
    const box = await sandbox();
    const { manifest, kitfile, ...seen } = await inspect(box, layout(name));
    expect(seen).toMatchObject({ format, description });
    expect(manifest?.layers.length).toBeGreaterThan(0);
    expect(kitfile).toBeUndefined();
    expect(await box.kit(['info', layout(name)])).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('carries no Kitfile') as unknown,
    });
  });

  test('inspect of a layer type that is not known says so, and unpack refuses', async () => {
    const box = await sandbox();
    await makeLayout(box.path('odd'), modelpackArtifact([['lora', 'a', 'x']]));
    expect(await inspect(box, 'oci:odd:v1')).toMatchObject({
      format: 'modelpack',
      problem: expect.stringContaining('lora.v1.raw') as unknown,
    });
    expect((await box.kit('unpack oci:odd:v1 -d out')).status).toBe(1);
  });

  test('a repository that also holds signatures, SBOMs, images and an index', async () => {
    const registry = await startRegistry();
    onTestFinished(() => registry.close());
    const box = await sandbox();
    const repository = `${registry.host}/team/mixed`;
    for (const [name, tag] of [
      ['kit-modelkit-tar', 'modelkit'],
      ['modctl-raw', 'modelpack'],
      ['omlmd', 'omlmd'],
      ['modelcar', 'image'],
      ['oras-argo-correct', 'flux'],
      ['modelcar-olot', 'index'],
    ] as const)
      await box.ok(['push', layout(name), `${repository}:${tag}`, '--plain-http']);
    const signature = 'sha256-3f38b17f734e30a6c3d507cc1e983bffc8c244b7be9ab878eae10ff7fac5da56.sig';
    await box.ok(['push', `oci:${join(GOLDEN, 'cosign-legacy')}:${signature}`, `${repository}:${signature}`, '--plain-http']);

    const { status, stdout, stderr } = await box.kit(`list ${repository} --plain-http`);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    const tags = stdout
      .split('\n')
      .slice(1, -1)
      .map((line) => line.split(/ {2,}/)[1]);
    expect(tags).toEqual(['index', 'modelkit', 'modelpack', 'omlmd']);

    for (const tag of ['image', 'flux', signature]) await box.ok(`pull ${repository}:${tag} --plain-http`);
    expect((await box.ok('list')).split('\n')).toHaveLength(2);
    expect(await inspect(box, `${repository}:${signature}`)).toMatchObject({ description: 'cosign signature' });
    expect(await inspect(box, '--remote', `${repository}:image`, '--plain-http')).toMatchObject({ format: 'artifact' });
  });
});

describe('hostile', () => {
  test.each(['docker v0.2', 'ModelPack', 'cnai', 'OMLMD'])('no path leaves the directory: %s', async (format) => {
    const box = await sandbox();
    const make = (path: string) => {
      if (format === 'docker v0.2')
        return dockerArtifact(2, [
          ['safetensors', path, 'x'],
          ['model.file', 'ok', 'y'],
        ]);
      if (format === 'OMLMD') return omlmdArtifact(path);
      const prefix = format === 'cnai' ? 'cnai' : 'cncf';
      return modelpackArtifact(
        [
          ['doc', 'ok', 'y'],
          ['weight', path, 'x'],
        ],
        prefix,
      );
    };
    for (const path of ['../evil.txt', '/kit-golden-evil.txt', 'a/../../evil.txt', 'a\\..\\..\\evil.txt', 'C:/evil.txt', '']) {
      await makeLayout(box.path('made'), make(path));
      expect(await box.kit('unpack oci:made:v1 -d work/a/out'), path).toMatchObject({ status: 6 });
      expect(existsSync(box.path('work')), path).toBe(false);
    }
    expect(existsSync('/kit-golden-evil.txt')).toBe(false);
    expect((await readdir(box.root)).toSorted()).toEqual(['.cache', 'made']);
  });

  test('one path in two layers', async () => {
    const box = await sandbox();
    await makeLayout(
      box.path('docker'),
      dockerArtifact(2, [
        ['safetensors', 'a/m', 'x'],
        ['model.file', './a//m', 'y'],
      ]),
    );
    await makeLayout(
      box.path('pack'),
      modelpackArtifact([
        ['weight', 'a/m', 'x'],
        ['doc', './a/m', 'y'],
      ]),
    );
    for (const name of ['docker', 'pack']) {
      const run = await box.kit(`unpack oci:${name}:v1 -d out`);
      expect(run).toMatchObject({ status: 6, stderr: expect.stringContaining('a/m is in the layers') as unknown });
    }
  });

  test('a diffId that is another, and too few of them', async () => {
    const box = await sandbox();
    const other = `sha256:${'0'.repeat(64)}`;
    const config = (diffIds: string[]) => ({ descriptor: {}, config: {}, modelfs: { type: 'layers', diffIds } });
    const files = [
      ['weight', 'a', 'x'],
      ['doc', 'b', 'y'],
    ] as const;
    await makeLayout(box.path('other'), modelpackArtifact(files, 'cncf', config([other, other])));
    await makeLayout(box.path('few'), modelpackArtifact(files, 'cncf', config([other])));
    expect(await box.kit('unpack oci:other:v1 -d out')).toMatchObject({ status: 6, stderr: expect.stringContaining('diffId') as unknown });
    expect(await box.kit('unpack oci:few:v1 -d out')).toMatchObject({
      status: 6,
      stderr: expect.stringContaining('1 diffIds for 2 layers') as unknown,
    });
    expect(await box.tree('.')).not.toContain('out/');
  });

  test('config bombs: too large, too deep, or no JSON', async () => {
    const box = await sandbox();
    const bombs = {
      large: `{"descriptor":{"name":"${'x'.repeat(5_000_000)}"}}`,
      deep: `{"customProperties":${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}}`,
      cut: '{"descriptor":',
    };
    for (const [name, json] of Object.entries(bombs)) {
      await makeLayout(box.path(`pack-${name}`), modelpackArtifact([['weight', 'a', 'x']], 'cncf', json));
      await makeLayout(box.path(`omlmd-${name}`), omlmdArtifact('a', json));
      await makeLayout(box.path(`docker-${name}`), {
        ...dockerArtifact(1, [['gguf.v3', 'a', 'x']]),
        config: { type: 'application/vnd.docker.ai.model.config.v0.1+json', json },
      });
      for (const format of ['pack', 'omlmd', 'docker']) {
        // what lies deep in a field that nobody reads does no harm
        const isHarmless = name === 'deep' && format !== 'omlmd';
        const { status, stderr } = await box.kit(`inspect oci:${format}-${name}:v1`);
        expect({ status, stderr }, `${format} ${name}`).toMatchObject({ status: isHarmless ? 0 : 6 });
      }
    }
  });
});

function omlmdArtifact(path: string, json = '{"name":"m","customProperties":{}}') {
  const title = (name: string) => ({ 'org.opencontainers.image.title': name });
  const config = 'application/x-config';
  return {
    config: { type: config, json },
    layers: [
      { type: 'application/x-mlmodel', bytes: 'weights', annotations: title(path) },
      { type: config, bytes: json, annotations: title('model_metadata.omlmd.json') },
    ],
  };
}
