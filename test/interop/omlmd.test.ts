import { spawnSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { hasDockerRegistry, startDockerRegistry } from '../support/docker-registry.ts';
import { copyGoldenInput, GOLDEN, type Sandbox, sandbox } from '../support/kit.ts';

/** PyPI's omlmd, found on PATH. */
const hasOmlmd = spawnSync('omlmd', ['--help']).status === 0;

interface Entry {
  readonly reference: string;
  readonly config: { readonly name: string | null; readonly customProperties: Readonly<Record<string, unknown>> };
}

function omlmd(box: Sandbox, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync('omlmd', [...args, '--plain-http'], { cwd: box.root, encoding: 'utf8' });
  if (status !== 0) throw new Error(`omlmd ${args.join(' ')}: ${stderr}`);
  return stdout;
}

async function start(): Promise<{ box: Sandbox; host: string }> {
  const registry = await startDockerRegistry();
  onTestFinished(() => registry.close());
  return { box: await sandbox(), host: registry.host };
}

describe.skipIf(!hasOmlmd || !hasDockerRegistry)('omlmd', () => {
  test('pulls ours, gets the config from it and crawls it', async () => {
    const { box, host } = await start();
    await copyGoldenInput(box.path('src'));
    const reference = `${host}/team/tiny:v1`;
    await box.ok(`pack src -t ${reference} --to omlmd --push --plain-http`);

    omlmd(box, 'pull', reference, '-o', 'all');
    const files = (await box.tree('all')).filter((path) => !path.endsWith('/'));
    expect(files).toContain('model_metadata.omlmd.yaml');
    for (const path of files.filter((one) => !one.startsWith('model_metadata')))
      expect(await readFile(box.path('all', path)), path).toEqual(await readFile(box.path('src', path)));
    omlmd(box, 'pull', reference, '-o', 'model', '-m', 'application/x-mlmodel');
    expect((await box.tree('model')).filter((path) => !path.endsWith('/'))).toHaveLength(6);

    const { config } = JSON.parse(omlmd(box, 'get', 'config', reference)) as Entry;
    expect(config).toMatchObject({ name: 'tiny', customProperties: { epochs: 3, license: 'Apache-2.0', framework: 'pytorch' } });
    const [one, two] = JSON.parse(omlmd(box, 'crawl', reference, reference)) as Entry[];
    expect([one, two]).toEqual([
      { reference, config },
      { reference, config },
    ]);
  });

  test('ours unpacks theirs, and shows its metadata', async () => {
    const { box, host } = await start();
    const reference = `${host}/team/theirs:v1`;
    await box.write({
      'model.onnx': await readFile(join(GOLDEN, 'input/gguf/tiny-golden-F32.gguf')),
      'metadata.json': JSON.stringify({ name: 'theirs', author: 'Ann', accuracy: 0.5, tags: ['a', { b: null }] }),
    });
    omlmd(box, 'push', reference, 'model.onnx', '-m', 'metadata.json');
    await box.ok(`unpack ${reference} -d out --plain-http`);
    expect(await box.tree('out')).toEqual(['Kitfile', 'model.onnx', 'model_metadata.omlmd.json', 'model_metadata.omlmd.yaml']);
    expect(await readFile(box.path('out/model.onnx'))).toEqual(await readFile(box.path('model.onnx')));
    expect(JSON.parse(await box.ok(`inspect --remote ${reference} --plain-http`))).toMatchObject({
      format: 'omlmd',
      kitfile: { package: { name: 'theirs', authors: ['Ann'] }, model: { parameters: { accuracy: 0.5, tags: ['a', { b: null }] } } },
    });
  });

  test('pulls our ModelPack: every layer has a title', async () => {
    const { box, host } = await start();
    await copyGoldenInput(box.path('src'));
    const reference = `${host}/team/pack:v1`;
    await box.ok(`pack src -t ${reference} --use-model-pack --push --plain-http`);
    omlmd(box, 'pull', reference, '-o', 'out');
    expect(await box.tree('out')).toContain('weights/model-00001-of-00002.safetensors');
  });
});
