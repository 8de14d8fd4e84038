import { readFile } from 'node:fs/promises';
import { expect, onTestFinished, test } from 'vitest';
import { startRegistry } from '../support/registry.ts';
import { GOLDEN, sandbox } from '../support/kit.ts';

test('one file is printed, and what was not checked is said', async () => {
  const box = await sandbox();
  const registry = await startRegistry();
  onTestFinished(async () => await registry.close());
  const name = `${registry.host}/m:v1`;
  await box.write({
    'in/Kitfile': 'manifestVersion: 1.0.0\nmodel:\n  path: weights\ndocs:\n  - path: README.md\n',
    'in/weights/model.bin': Buffer.alloc(2 * 1024 * 1024, 'w'),
    'in/weights/config.json': '{"a": 1}\n',
    'in/README.md': 'read me',
  });
  await box.ok(`pack in -t ${name} --push`);
  expect(await box.kit(`cat ${name} README.md`)).toMatchObject({ status: 0, stdout: 'read me', stderr: '' });
  expect(await box.kit(`cat ${name} *.json`)).toMatchInlineSnapshot(`
    exit 0
    --- stdout
    {"a": 1}
    --- stderr
    weights/config.json was not checked: no digest covers a part of layer sha256:d8ffb285e985…; \`--verify\` fetches all of it
  `);
  expect(await box.kit(`cat --verify ${name} weights/config.json`)).toMatchObject({ status: 0, stdout: '{"a": 1}\n', stderr: '' });
  expect(await box.kit(`cat ${name} weights/*`)).toMatchInlineSnapshot(`
    exit 2
    --- stderr
    error: weights/* names 2 files of 127.0.0.1:55555/m:v1:
      weights/config.json (layer sha256:d8ffb285e985…)
      weights/model.bin (layer sha256:d8ffb285e985…)

    hint: name one; \`./NAME\` is the one in the root; \`kit unpack --filter path:PATTERN\` takes several
  `);
  expect(await box.kit(`cat ${name} Kitfile`)).toMatchInlineSnapshot(`
    exit 3
    --- stderr
    error: 127.0.0.1:55555/m:v1 has no file Kitfile

    hint: \`kit info 127.0.0.1:55555/m:v1\` shows the Kitfile
  `);
  expect(await box.kit(`cat ${name} weights`)).toMatchInlineSnapshot(`
    exit 1
    --- stderr
    error: weights is a directory, not a file

    hint: \`kit files 127.0.0.1:55555/m:v1 weights\` lists what there is
  `);
});

test('content that is not what its digest says is not printed', async () => {
  const box = await sandbox();
  for (const broken of ['blob-layer-bitflip', 'blob-layer-truncated', 'config-diffid-mismatch'])
    expect(await box.kit(['cat', `oci:${GOLDEN}/tampered/${broken}:v1`, '*'])).toMatchObject({ status: 6, stdout: '' });
});

test.each(['kit-modelkit-tar', 'kit-modelkit-gzip', 'modctl-raw', 'modctl-tar'])(
  'what %s holds is printed byte for byte',
  async (artifact) => {
    const box = await sandbox();
    for (const path of ['src/run.sh', 'a..b.txt', 'tokenizer.json']) {
      const listed = await box.kit(['files', `oci:${GOLDEN}/${artifact}:v1`, `./${path}`]);
      // each of the makers leaves something out
      if (listed.status === 3) continue;
      expect(await box.ok(['cat', `oci:${GOLDEN}/${artifact}:v1`, `./${path}`])).toBe(await readFile(`${GOLDEN}/input/${path}`, 'utf8'));
    }
    expect((await box.ok(['files', `oci:${GOLDEN}/${artifact}:v1`])).split('\n').length).toBeGreaterThan(10);
  },
);

test('a reader that has had enough is no failure to speak of', async () => {
  const box = await sandbox();
  await box.write({ 'in/Kitfile': 'manifestVersion: 1.0.0\nmodel:\n  path: m\n', 'in/m': Buffer.alloc(3 * 1024 * 1024, 'w') });
  await box.ok('pack in -t m:v1');
  const { child, finished } = box.start('cat m:v1 m');
  child.stdout.once('data', () => child.stdout.destroy());
  expect(await finished).toMatchObject({ status: 1, stderr: '' });
});
