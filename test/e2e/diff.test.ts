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
    ? weights/model.bin (same size; only the content would tell)
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

test('two indexes member by member, and an index with a ModelKit', async () => {
  const box = await sandbox();
  for (const [tag, content] of [
    ['q4-1', 'one'],
    ['q4-2', 'three'],
    ['q8', 'eight'],
  ] as const) {
    await box.write({ [`${tag}/Kitfile`]: `manifestVersion: 1.0.0\nmodel: {path: w.txt, name: ${tag}}\n`, [`${tag}/w.txt`]: content });
    await box.ok(`pack ${tag} -t m:${tag}`);
  }
  for (const [index, ...tags] of [
    ['v1', 'q4-1', 'q8'],
    ['v2', 'q4-2'],
  ]) {
    await box.ok(`index create m:${index}`);
    for (const tag of tags) await box.ok(`index add m:${index} m:${tag} -l q=${tag.slice(0, 2)}`);
  }
  const run = await box.kit('diff m:v1 m:v2 --files --kitfile --exit-code');
  expect(run).toMatchInlineSnapshot(`
    exit 1
    --- stdout
    Comparing indexes:
      Index1: m:v1 (sha256:fbc20c0cdbd5…)
      Index2: m:v2 (sha256:7633ba88e919…)

    Members:
    ---------------------------------------
    - q=q8 (sha256:20995a4b4800…)
    ! q=q4 (sha256:b3fd45d5a15a… -> sha256:c86057a19ccd…)

    =======================================
    q=q4
    =======================================
    Comparing:
      ModelKit1: m@sha256:b3fd45d5a15a…
      ModelKit2: m@sha256:c86057a19ccd…

    Configurations:
    ---------------------------------------
    Configs differ:
      ModelKit1 Config Digest: sha256:c92febbf58
      ModelKit2 Config Digest: sha256:8efb23f85a

    Annotations:
    ---------------------------------------
      Annotations are identical 

    Shared Layers
    ---------------------------------------
    <none>

    Unique Layers to ModelKit1 (m@sha256:b3fd45d5a15a…)
    ---------------------------------------
    Type    | Digest             | Size
    Model   | sha256:d258d02f87  | 2.0 KiB

    Unique Layers to ModelKit2 (m@sha256:c86057a19ccd…)
    ---------------------------------------
    Type    | Digest             | Size
    Model   | sha256:8ccd9afde6  | 2.0 KiB

    Kitfile
    ---------------------------------------
    - model.name: "q4-1"
    + model.name: "q4-2"

    Files (4.0 KiB of the layers were read)
    ---------------------------------------
    ! w.txt (3 B -> 5 B)
  `);
  const json = JSON.parse(await box.ok('diff m:v1 m:v2 --format json')) as { members: { name: string; diff: { identical: boolean } }[] };
  expect(json.members.map(({ name, diff }) => [name, diff.identical])).toEqual([['q=q4', false]]);
  expect(await box.ok('diff m:v1 m:v2 --tensors')).toContain('the tensors do not differ');
  expect(await box.ok('diff m:v1 m:v1 --exit-code')).toBe('Indexes are identical\n');
  expect(await box.ok('diff m:v1 m:q8 --exit-code')).toBe('ModelKits are identical\n');
  expect(await box.ok('diff m:v1 m:q4-1 -l q=q4 --exit-code')).toBe('ModelKits are identical\n');
  expect(await box.kit('diff m:q4-2 m:v1')).toMatchInlineSnapshot(`
    exit 1
    --- stderr
    error: m:v1 is an index of 2 artifacts, and m:q4-2 is none of them:
      sha256:b3fd45d5a15a… q4-1 (q=q4)
      sha256:20995a4b4800… q8 (q=q8)

    hint: \`kit diff m:v1 m:q4-2 --label KEY=VALUE\` compares one of them, or name it by its digest: \`kit diff m@sha256:b3fd45d5a15a… m:q4-2\`
  `);
  expect(JSON.parse(await box.ok('sbom m:v1 -l q=q8'))).toMatchObject({ metadata: { component: { name: 'q8' } } });
});
