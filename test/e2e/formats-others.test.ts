import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { copyGoldenInput, GOLDEN, sandbox } from '../support/kit.ts';
import { startRegistry } from '../support/registry.ts';
import { inspect } from './formats-inspect.ts';
import { dockerArtifact, makeLayout, modelpackArtifact } from './formats-layout.ts';

const layout = (name: string) => `oci:${join(GOLDEN, name)}:v1`;

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
    const box = await sandbox();
    await copyGoldenInput(box.path('src'));
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
