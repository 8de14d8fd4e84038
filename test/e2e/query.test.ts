import { expect, onTestFinished, test } from 'vitest';
import { type Sandbox, sandbox } from '../support/kit.ts';
import { startRegistry, type TestRegistry } from '../support/registry.ts';
import { putModel } from '../unit/catalog/fleet.ts';

async function pushed(): Promise<{ box: Sandbox; registry: TestRegistry }> {
  const box = await sandbox();
  const registry = await startRegistry();
  onTestFinished(async () => await registry.close());
  for (const [name, accuracy, license] of [
    ['small', 0.91, 'MIT'],
    ['large', 0.97, 'Apache-2.0'],
    ['huge', 0.99, 'llama3'],
  ] as const) {
    await box.write({
      [`${name}/Kitfile`]: `manifestVersion: 1.0.0\npackage: {name: ${name}}\nmodel: {path: w.bin, license: ${license}, parameters: {accuracy: ${accuracy}}}\n`,
      [`${name}/w.bin`]: `weights of ${name}`,
    });
    await box.ok(`pack ${name} -t ${registry.host}/team/${name}:v1 --push`);
  }
  return { box, registry };
}

test('the best model, as a table, as JSON, by a template', async () => {
  const { box, registry } = await pushed();
  const expression = 'model.parameters.accuracy > 0.95';
  const sort = ['--sort', 'model.parameters.accuracy:desc'];
  expect(await box.kit(['query', expression, `${registry.host}/team/*`, ...sort])).toMatchInlineSnapshot(`
    exit 0
    --- stdout
    REFERENCE                       MODEL.PARAMETERS.ACCURACY   SIZE
    127.0.0.1:55555/team/huge:v1    0.99                        2.0 KiB
    127.0.0.1:55555/team/large:v1   0.97                        2.0 KiB
    --- stderr
    2 of 3 models match
  `);
  const json = JSON.parse(await box.ok(['query', expression, registry.host, ...sort, '-n', '1', '--format', 'json'])) as unknown;
  expect(json).toMatchObject([
    {
      reference: expect.stringMatching(/^127.0.0.1:\d+\/team\/huge:v1$/) as string,
      repository: expect.stringMatching(/\/team\/huge$/) as string,
      tags: ['v1'],
      digest: expect.stringMatching(/^sha256:/) as string,
      format: 'modelkit',
      model: { license: 'llama3', parameters: { accuracy: 0.99 } },
    },
  ]);
  const template = '{{.reference}} {{.model.parameters.accuracy}} {{join .tags "+"}}{{if .model.framework}} never{{end}}';
  expect(await box.kit(['query', '$.model[?@ == "MIT"]', registry.host, '--format', template])).toMatchInlineSnapshot(`
    exit 0
    --- stdout
    127.0.0.1:55555/team/small:v1 0.91 v1
    --- stderr
    1 of 3 models match
  `);
  expect(await box.kit(['query', 'true', registry.host, '--columns', 'package.name, model.license', '-n', '2'])).toMatchInlineSnapshot(`
    exit 0
    --- stdout
    PACKAGE.NAME   MODEL.LICENSE
    huge           llama3
    large          Apache-2.0
    --- stderr
    3 of 3 models match, 2 shown
  `);
});

test('what is wrong is pointed at, and no registry is asked', async () => {
  const { box, registry } = await pushed();
  registry.clear();
  for (const format of ['yaml', '{{.reference'])
    expect(await box.kit(['query', 'true', registry.host, '--format', format])).toMatchObject({
      status: 2,
      stdout: '',
      stderr: expect.stringContaining('hint: write table, json, or a template with fields of a model') as string,
    });
  expect(await box.kit(['query', 'modle.parameters.accuracy > 0.9', registry.host])).toMatchInlineSnapshot(`
    exit 2
    --- stderr
    error: expression, character 1: there is no field \`modle\`
    modle.parameters.accuracy > 0.9
    ^

    hint: did you mean model?
  `);
  expect(await box.kit(['query', 'model.license = "MIT"', registry.host])).toMatchInlineSnapshot(`
    exit 2
    --- stderr
    error: expression, character 15: \`=\` is not understood
    model.license = "MIT"
                  ^

    hint: equality is written ==, and =~ matches a regular expression
  `);
  expect(await box.kit(['query', 'true', registry.host, '--sort', 'package.nam:desc'])).toMatchInlineSnapshot(`
    exit 2
    --- stderr
    error: --sort, character 9: there is no field \`package.nam\`
    package.nam
            ^

    hint: did you mean package.name?
  `);
  expect(await box.kit(['query', 'true', registry.host, '--format', '{{.modle}}'])).toMatchInlineSnapshot(`
    exit 2
    --- stderr
    error: --format, character 1: there is no field \`modle\`
    modle
    ^

    hint: did you mean model?
  `);
  expect(await box.kit(['query', '$.model[', registry.host])).toMatchInlineSnapshot(`
    exit 2
    --- stderr
    error: JSONPath \`$.model[\`: character 9: Expected "'", "*", "-", "0", ":", "?", "\\"", [1-9], or [\\t-\\n\\r ] but end of input found.

    hint: RFC 9535 has the grammar; for example $.model.parameters[?@ > 0.95], or $.datasets[?@.license == "MIT"]
  `);
  expect(registry.requests).toEqual([]);
});

test('a catalog: written, asked, brought up to date', async () => {
  const { box, registry } = await pushed();
  expect(await box.kit(['query', 'true', '--catalog'])).toMatchInlineSnapshot(`
    exit 3
    --- stderr
    error: there is no catalog <TMP>/home/catalog.db

    hint: write it with \`kit catalog sync REGISTRY/REPOSITORY\`
  `);
  expect(await box.kit(['catalog', 'sync'])).toMatchInlineSnapshot(`
    exit 3
    --- stderr
    error: there is no catalog <TMP>/home/catalog.db

    hint: write it with \`kit catalog sync REGISTRY/REPOSITORY\`
  `);
  expect(await box.kit(['catalog', 'sync', `${registry.host}/team/*`])).toMatchInlineSnapshot(`
    exit 0
    --- stdout
    <TMP>/home/catalog.db: 3 models, 0 other artifacts
    repositories: 3
    tags: 3 added, 0 moved, 0 removed, 0 unchanged
    manifests read: 3
  `);
  registry.clear();
  expect(await box.kit(['query', 'model.license in ["MIT", "Apache-2.0"]', '--catalog', '--sort', 'model.license'])).toMatchInlineSnapshot(`
    exit 0
    --- stdout
    REFERENCE                       MODEL.LICENSE   SIZE
    127.0.0.1:55555/team/large:v1   Apache-2.0      2.0 KiB
    127.0.0.1:55555/team/small:v1   MIT             2.0 KiB
    --- stderr
    2 models match
  `);
  expect(registry.requests).toEqual([]);
  registry.storage.repository('team/small').tags.clear();
  expect(await box.kit(['catalog', 'sync', '--format', 'json'])).toMatchInlineSnapshot(`
    exit 0
    --- stdout
    {
      "catalog": "<TMP>/home/catalog.db",
      "repositories": 3,
      "tags": {
        "added": 0,
        "moved": 0,
        "removed": 1,
        "unchanged": 2
      },
      "read": 0,
      "unreadable": 0,
      "models": 2,
      "others": 0
    }
  `);
  expect(await box.ok(['query', 'true', '--catalog', '--format', '{{.package.name}}'])).toBe('huge\nlarge\n');
  expect(await box.kit(['query', 'tensors.count > 1', '--catalog'])).toMatchInlineSnapshot(`
    exit 1
    --- stderr
    error: <TMP>/home/catalog.db was written without tensors

    hint: \`kit catalog sync --tensors\` adds them
  `);
});

test('a sync that is killed goes on where it was', async () => {
  const box = await sandbox();
  const registry = await startRegistry();
  onTestFinished(async () => await registry.close());
  for (let number = 0; number < 80; number++)
    await putModel(registry, `team/m:v${number}`, { package: { name: `m${number}` }, model: { path: 'w' } });
  registry.clear();
  // what is kept at a time was kept when the 70th config is asked for, which never comes
  const { promise: isStuck, resolve: stuck } = Promise.withResolvers<void>();
  const { promise: over, resolve: end } = Promise.withResolvers<void>();
  registry.behaviour.onRequest = () => {
    if (registry.requests.filter(({ path }) => path.includes('/blobs/')).length < 70) return;
    registry.behaviour.pauseWhole = { bytes: 0, until: over };
    stuck();
  };
  const sync = box.start(['catalog', 'sync', registry.host, '--concurrency', '1']);
  await isStuck;
  sync.child.kill('SIGKILL');
  await sync.finished;
  registry.behaviour.onRequest = undefined;
  registry.behaviour.pauseWhole = undefined;
  end();
  // it left its lock, and no tags
  expect(await box.kit(['query', 'true', '--catalog'])).toMatchObject({ status: 0, stdout: '' });
  expect(await box.ok(['catalog', 'sync', registry.host])).toContain(
    'tags: 80 added, 0 moved, 0 removed, 0 unchanged\nmanifests read: 16\n',
  );
  expect(await box.ok(['query', 'package.name in ["m0", "m79"]', '--catalog', '--format', '{{.package.name}}'])).toBe('m0\nm79\n');
});
