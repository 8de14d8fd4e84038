import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { sandbox } from '../support/kit.ts';
import { dockerArtifact, makeLayout, modelpackArtifact, omlmdArtifact } from './formats-layout.ts';

const configWith = (diffIds: string[]) => ({ descriptor: {}, config: {}, modelfs: { type: 'layers', diffIds } });

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
    const files = [
      ['weight', 'a', 'x'],
      ['doc', 'b', 'y'],
    ] as const;
    await makeLayout(box.path('other'), modelpackArtifact(files, 'cncf', configWith([other, other])));
    await makeLayout(box.path('few'), modelpackArtifact(files, 'cncf', configWith([other])));
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
