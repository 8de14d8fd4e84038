import { expect, onTestFinished, test } from 'vitest';
import { type Sandbox, sandbox } from '../support/kit.ts';
import { startRegistry, type TestRegistry } from '../support/registry.ts';

async function configured(lines: (host: string) => readonly string[]): Promise<{ box: Sandbox; registry: TestRegistry; name: string }> {
  const box = await sandbox();
  const registry = await startRegistry();
  onTestFinished(() => registry.close());
  await box.write({
    'src/Kitfile': 'manifestVersion: "1.0"\npackage: {name: m}\nmodel: {path: model.safetensors}\n',
    'src/model.safetensors': Buffer.alloc(2_500_000, 'weights'),
    'home/config.toml': `[registry."${registry.host}"]\n${lines(registry.host).join('\n')}\n`,
  });
  return { box, registry, name: `${registry.host}/team/model:v1` };
}

test('a layer that is too large is told before anything is sent', async () => {
  const { box, registry, name } = await configured(() => ['max-layer = "2MB"']);
  const warning = `warning: 127.0.0.1:55555/team/model: model.safetensors has 2.5 MB, and 127.0.0.1:55555 takes layers of up to 2 MB: save it in shards`;
  const packed = await box.kit(`pack src -t ${name} --push`);
  expect(packed.status).toBe(0);
  expect(packed.stderr).toContain(warning);
  await box.ok(`pack src -t ${registry.host}/team/other:v1`);
  const pushed = await box.kit(`push ${registry.host}/team/other:v1`);
  expect(pushed.stderr).toContain('2.5 MB');
  // by now it did fit
  expect((await box.kit(`push ${registry.host}/team/other:v1`)).stderr).toBe('');
});

test('uploads go in chunks of the size that is configured', async () => {
  const { box, registry, name } = await configured(() => ['chunk-size = "1MB"']);
  await box.ok(`pack src -t ${name}`);
  await box.ok(`push ${name}`);
  expect(registry.requests.filter(({ method }) => method === 'PATCH').map(({ received }) => received)).toEqual([1e6, 1e6, 501_632]);
});

test('a registry that is said to delete nothing is not asked to', async () => {
  const { box, registry, name } = await configured(() => ['deletion = false']);
  await box.ok(`pack src -t ${name} --push`);
  registry.clear();
  const { status, stderr } = await box.kit(`remove --remote ${name}`);
  expect({ status, stderr }).toEqual({
    status: 1,
    stderr: `error: Removing models is unsupported by registry 127.0.0.1:55555: its API does not delete\n\nhint: \`kit inspect REFERENCE\` shows what an artifact is, docs/registries.md what registries can do\n`,
  });
  expect(registry.requests).toEqual([]);
});

test('an error in the configuration names file and line, and local work goes on without it', async () => {
  const { box, name } = await configured(() => ['max-layer = ']);
  const { status, stderr } = await box.kit(`pull ${name}`);
  expect(status).toBe(2);
  expect(stderr).toMatch(/^error: \S+home\/config\.toml:2:\d+: /);
  await box.ok('pack src -t local:v1');
  await box.ok('list');
});

test('an unknown key is an error with the one that was meant', async () => {
  const { box, name } = await configured(() => ['max_layer = "1GB"']);
  const { status, stderr } = await box.kit(`pull ${name}`);
  expect(status).toBe(2);
  expect(stderr).toContain('unknown key `max_layer`\n\nhint: did you mean `max-layer`?\n');
});

test('the command line comes before the configuration', async () => {
  const { box, registry, name } = await configured(() => ['plain-http = false', 'tls-verify = false']);
  const refused = await box.kit(`pull ${name}`);
  expect(refused.status).toBe(5);
  expect(registry.requests).toEqual([]);
  await box.ok(`pack src -t ${name} --push --plain-http`);
  await box.ok(`login ${registry.host} -u a -p b --plain-http`);
});
