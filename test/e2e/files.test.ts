import { expect, onTestFinished, test } from 'vitest';
import { startRegistry } from '../support/registry.ts';
import { GOLDEN, sandbox, type Sandbox } from '../support/kit.ts';

const MIB = 1024 * 1024;

/** A ModelKit with a large layer, in a registry. */
async function publish(box: Sandbox, options = ''): Promise<string> {
  const registry = await startRegistry();
  onTestFinished(async () => await registry.close());
  await box.write({
    'in/Kitfile': 'manifestVersion: 1.0.0\nmodel:\n  name: m\n  path: weights\ncode:\n  - path: run.sh\n',
    'in/weights/model.bin': Buffer.alloc(2 * MIB, 'w'),
    'in/weights/tokenizer.json': '{}',
    'in/run.sh': '#!/bin/sh\n',
  });
  await box.ok(`pack in -t ${registry.host}/m:v1 --push${options}`);
  return `${registry.host}/m:v1`;
}

test('files are listed without a download', async () => {
  const box = await sandbox();
  const name = await publish(box);
  expect(await box.kit(`files ${name}`)).toMatchInlineSnapshot(`
    exit 0
    --- stdout
    MODE         SIZE      LAYER                PATH
    drwxr-xr-x   -         model d2bfdb78dec5   weights/
    -rw-r--r--   2.0 MiB   model d2bfdb78dec5   weights/model.bin
    -rw-r--r--   2 B       model d2bfdb78dec5   weights/tokenizer.json
    -rwxr-xr-x   10 B      code c90078f6b55e    run.sh
    --- stderr
    4 names in 2 layers; 68.0 KiB of 2.0 MiB were read
    of 1 layer only the headers were read, which no digest covers
  `);
  expect(await box.kit(`files --remote ${name} run.sh --digests`)).toMatchInlineSnapshot(`
    exit 0
    --- stdout
    MODE         SIZE   LAYER               DIGEST                                                                    PATH
    -rwxr-xr-x   10 B   code c90078f6b55e   sha256:a8076d3d28d2…   run.sh
    --- stderr
    1 name in 2 layers; 68.0 KiB of 2.0 MiB were read
    of 1 layer only the headers were read, which no digest covers
  `);
  const json = JSON.parse(await box.ok(`files ${name} tok* --format json`)) as { files: unknown[]; layers: object[] };
  expect(json.files).toEqual([
    { path: 'weights/tokenizer.json', type: 'file', mode: 0o644, size: 2, layer: expect.stringMatching(/^sha256:/) as string },
  ]);
  expect(json.layers[0]).toMatchObject({ checked: 'nothing', name: 'm', path: 'weights' });
  expect(await box.kit(`files ${name} nothing`)).toMatchInlineSnapshot(`
    exit 3
    --- stderr
    error: no file of 127.0.0.1:55555/m:v1 matches \`nothing\`

    hint: \`kit files 127.0.0.1:55555/m:v1\` lists all
  `);
  // nothing was kept
  expect(await box.tree('')).not.toContain('home/storage/');
});

test('compressed layers are fetched only where that is allowed', async () => {
  const box = await sandbox();
  const name = await publish(box, ' --compression gzip');
  expect(await box.kit(`files --no-download ${name}`)).toMatchObject({ status: 1, stdout: '' });
  expect((await box.ok(`files ${name}`)).split('\n')).toHaveLength(6);
});

test('names that are no good are shown as they are, without reaching the terminal', async () => {
  const box = await sandbox();
  const { stdout, status } = await box.kit(['files', `oci:${GOLDEN}/tampered/tar-dotdot:v1`]);
  expect(status).toBe(0);
  expect(stdout).toContain('(unsafe: leaves the directory)');
  expect(await box.kit(['files', `oci:${GOLDEN}/tampered/blob-layer-bitflip:v1`])).toMatchObject({ status: 6, stdout: '' });
  expect(await box.ok(['files', `oci:${GOLDEN}/modelcar:v1`])).toContain('models/model-00001-of-00002.safetensors');
});

test('single files are unpacked out of a layer, and what was not checked is said', async () => {
  const box = await sandbox();
  const name = await publish(box);
  expect(await box.kit(['unpack', name, '--filter', 'path:tokenizer*', '-d', 'out'])).toMatchInlineSnapshot(`
    exit 0
    --- stdout
    Unpacking to <TMP>/out
    Unpacking weights/tokenizer.json
    --- stderr
    not checked against a digest, which only whole layers have: weights/tokenizer.json (\`--whole-layers\` fetches those)
  `);
  expect(await box.tree('out')).toEqual(['weights/', 'weights/tokenizer.json']);
  expect(await box.kit(['unpack', name, '--filter', 'path:tokenizer*', '-d', 'whole', '--whole-layers'])).toMatchObject({
    status: 0,
    stderr: '',
  });
  expect(await box.kit(['unpack', name, '--filter', 'path:nothing', '-d', 'none'])).toMatchInlineSnapshot(`
    exit 3
    --- stderr
    error: the filter \`path:nothing\` matches no file of 127.0.0.1:55555/m:v1

    hint: \`kit files 127.0.0.1:55555/m:v1\` lists them
  `);
});
