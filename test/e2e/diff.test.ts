import { expect, onTestFinished, test } from 'vitest';
import { startRegistry } from '../support/registry.ts';
import { sandbox } from '../support/kit.ts';

test('two versions in a registry are compared without a pull', async () => {
  const box = await sandbox();
  const registry = await startRegistry();
  onTestFinished(async () => await registry.close());
  const name = `${registry.host}/m`;
  const kitfile = 'manifestVersion: 1.0.0\nmodel:\n  path: weights\n  parameters:\n    lr: 1\ndocs:\n  - path: README.md\n';
  await box.write({
    'in/Kitfile': kitfile,
    'in/README.md': 'read me',
    'in/weights/old.txt': 'x',
    'in/weights/model.bin': Buffer.alloc(2 * 1024 * 1024, 'a'),
    'new/Kitfile': kitfile.replace('lr: 1', 'lr: 2'),
    'new/README.md': 'read me',
    'new/weights/new.txt': 'xy',
    'new/weights/model.bin': Buffer.alloc(2 * 1024 * 1024, 'b'),
  });
  await box.ok(`pack in -t ${name}:v1 --push`);
  await box.ok(`pack new -t ${name}:v2 --push`);
  const run = await box.kit(`diff ${name}:v1 ${name}:v2 --kitfile --files --exit-code`);
  const parts = run.stdout.split(/^(?=Kitfile$)/m);
  expect({ ...run, stdout: parts[1] ?? '' }).toMatchInlineSnapshot(`
    exit 1
    --- stdout
    Kitfile
    ---------------------------------------
    - model.parameters.lr: 1
    + model.parameters.lr: 2

    Files (132.0 KiB of the layers were read)
    ---------------------------------------
    ? weights/model.bin (same size; the layer differs)
    + weights/new.txt (2 B)
    - weights/old.txt (1 B)
  `);
  // what programs read has not changed, and comes first
  expect(parts[0]).toBe(await box.ok(`diff ${name}:v1 ${name}:v2`));
  const json = JSON.parse(await box.ok(`diff ${name}:v1 ${name}:v2 --format json`)) as { kitfile: unknown; files?: unknown };
  expect(json.kitfile).toEqual([{ field: 'model.parameters.lr', before: '1', after: '2' }]);
  expect(json.files).toBeUndefined();
  expect(await box.kit(`diff ${name}:v1 ${name}:v1 --exit-code --files`)).toMatchObject({ status: 0, stdout: 'ModelKits are identical\n' });
  expect((await box.kit(`diff ${name}:v1 ${name}:v2 --tensors --exit-code`)).status).toBe(1);
  // an error is not a difference
  expect((await box.kit(`diff ${name}:v1 ${name}:v3 --exit-code`)).status).toBe(3);
});
