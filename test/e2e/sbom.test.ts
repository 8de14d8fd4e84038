import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { GOLDEN, type Sandbox, sandbox } from '../support/kit.ts';
import { startRegistry, type TestRegistry } from '../support/registry.ts';
import { cyclonedxSchema, spdxSchema } from '../unit/sbom/schemas.ts';

const KEYS = join(GOLDEN, 'cosign-keys');
const KEY = ['--key', join(KEYS, 'cosign.key')];
const PUB = ['--key', join(KEYS, 'cosign.pub')];
const env = { COSIGN_PASSWORD: 'golden-test-only' };

const FILES = {
  'm/Kitfile':
    'manifestVersion: 1.0.0\npackage: {name: m, version: 1.0.0, license: apache-2.0, authors: [Ann]}\n' +
    'model: {path: model.gguf, parts: [{path: config.json}]}\ndatasets: [{name: train, path: data}]\ndocs: [{path: README.md}]\n',
  'm/config.json': '{"architectures": ["LlamaForCausalLM"], "max_position_embeddings": 4096}',
  'm/data/a.csv': 'a',
  'm/README.md': '---\npipeline_tag: text-generation\ndatasets: [squad]\n---\n# A model\n',
};

async function published(...options: string[]): Promise<{ box: Sandbox; registry: TestRegistry; name: string }> {
  const box = await sandbox();
  const registry = await startRegistry();
  onTestFinished(async () => {
    await registry.close();
  });
  await box.write({ ...FILES, 'm/model.gguf': await readFile(join(GOLDEN, 'input/gguf/tiny-golden-F32.gguf')) });
  const name = `${registry.host}/team/m:v1`;
  await box.ok(['pack', 'm', '-t', name, '--push', ...options]);
  return { box, registry, name };
}

interface CycloneDx {
  readonly metadata: { readonly timestamp?: string; readonly component: Readonly<Record<string, unknown>> };
  readonly components: readonly { readonly name: string; readonly hashes: readonly { readonly content: string }[] }[];
}

test.each([
  ['tar layers', []],
  ['raw layers', ['--use-model-pack']],
])('both formats, valid and the same each time: %s', async (_, options) => {
  const { box, registry, name } = await published(...options);
  const before = registry.requests.length;
  const text = await box.ok(['sbom', name]);
  expect(await box.ok(['sbom', name])).toBe(text);
  const isCyclonedx = cyclonedxSchema();
  const isSpdx = spdxSchema();
  const bom = JSON.parse(text) as CycloneDx;
  isCyclonedx(bom);
  expect(isCyclonedx.errors ?? []).toEqual([]);
  expect(bom.metadata.timestamp).toBeUndefined();
  expect(bom.metadata.component).toMatchObject({
    name: 'm',
    licenses: [{ license: { id: 'Apache-2.0' } }],
    purl: expect.stringMatching(/^pkg:oci\/m@sha256%3A\w{64}\?repository_url=.*\/team\/m&tag=v1$/) as string,
    modelCard: { modelParameters: { task: 'text-generation' } },
  });
  for (const [path, content] of Object.entries(FILES).filter(([file]) => /config|README/.test(file))) {
    const hash = createHash('sha256').update(content).digest('hex');
    expect(bom.components.find((one) => path.endsWith(one.name))?.hashes[0]?.content).toBe(hash);
  }
  const spdx: unknown = JSON.parse(await box.ok(['sbom', name, '--format', 'spdx'], { env: { SOURCE_DATE_EPOCH: '1700000000' } }));
  isSpdx(spdx);
  expect(isSpdx.errors ?? []).toEqual([]);
  expect(JSON.stringify(spdx)).toContain('"created":"2023-11-14T22:13:20Z"');
  // the digest of a raw layer is that of its file
  const dataset = createHash('sha256').update(FILES['m/data/a.csv']).digest('hex');
  const read = registry.requests.slice(before).filter(({ path, method }) => method === 'GET' && path.includes(dataset));
  expect(read).toEqual([]);
});

test('attached, attested and found again', async () => {
  const { box, registry, name } = await published();
  const text = await box.ok(['sbom', name, '--remote']);
  expect(await box.kit(['sbom', name, '--attach', '--sign', ...KEY], { env })).toMatchObject({
    status: 0,
    stdout: '',
    stderr: expect.stringMatching(/Attached the SBOM of sha256:\w{64}: sha256:\w{64}\nAttested the SBOM of .*: sigstore bundle/) as string,
  });
  expect(await box.ok(['download', 'sbom', name])).toBe(text);
  await box.ok(['verify-attestation', name, ...PUB, '--type', 'cyclonedx']);
  const { attestations } = JSON.parse(await box.ok(['verify-attestation', name, ...PUB, '--type', 'cyclonedx', '--format', 'json'])) as {
    attestations: { statement: { predicate: unknown } }[];
  };
  expect(attestations[0]?.statement.predicate).toEqual(JSON.parse(text));
  // the same again is the same manifest
  const puts = (): number => registry.requests.filter(({ method, path }) => method === 'PUT' && path.includes('/manifests/')).length;
  const first = /Attached.*: (sha256:\w{64})/.exec((await box.kit(['sbom', name, '--attach'])).stderr)?.[1];
  const second = /Attached.*: (sha256:\w{64})/.exec((await box.kit(['sbom', name, '--attach'])).stderr)?.[1];
  expect(first).toBe(second);
  expect(puts()).toBeGreaterThan(0);
});

test('an attestation alone is found as an SBOM too', async () => {
  const { box, name } = await published();
  const text = await box.ok(['sbom', name, '--format', 'spdx']);
  expect(await box.ok(['sbom', name, '--format', 'spdx', '--sign', ...KEY, '-o', 'm.spdx.json'], { env })).toBe('');
  expect(JSON.parse(await readFile(box.path('m.spdx.json'), 'utf8'))).toHaveProperty('@graph');
  expect(JSON.parse(await box.ok(['download', 'sbom', name]))).toEqual(JSON.parse(text));
});

test('in a layout: no path of this machine in the document', async () => {
  const { box } = await published();
  await box.ok('pack m -t oci:lay:v1');
  const text = await box.ok('sbom oci:lay:v1 --format spdx');
  expect(text).not.toContain('lay');
  expect(text).toContain('ni:///sha-256;');
  await box.ok('sbom oci:lay:v1 --attach');
  await box.ok('download sbom oci:lay:v1');
});

test.each<[string, string[], number, string]>([
  ['a format that is unknown', ['sbom', 'm:v1', '--format', 'xml'], 2, 'use one of cyclonedx, spdx'],
  ['a key for nothing', ['sbom', 'm:v1', ...KEY], 2, '--key goes with --sign'],
  ['local and remote', ['sbom', 'm:v1', '--attach', '--local', '--remote'], 2, 'contradict each other'],
  ['no such artifact', ['sbom', 'm:v1'], 3, 'is not in local storage'],
])('refused: %s', async (_, args, status, message) => {
  const box = await sandbox();
  const run = await box.kit(args, { env });
  expect(run).toMatchObject({ status, stdout: '' });
  expect(run.stderr).toContain(message);
});
