import addFormats from 'ajv-formats';
import { Ajv2020, type AnySchema } from 'ajv/dist/2020.js';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { modelpack } from '../../../src/formats/modelpack.ts';
import type { Kitfile } from '../../../src/kitfile/types.ts';
import { digestOf } from '../../../src/oci/digest.ts';
import { loadManifest, readBlob } from '../../support/golden-layout.ts';
import { packed } from './packing.ts';

const SCHEMA = join(import.meta.dirname, '../../../fixtures/formats/model-spec/config-schema.json');
const ajv = new Ajv2020({ allErrors: true });
addFormats.default(ajv);
const validate = ajv.compile(JSON.parse(readFileSync(SCHEMA, 'utf8')) as AnySchema);

/** What the schema of model-spec finds wrong. */
function violations(config: unknown): unknown[] {
  return validate(config) ? [] : (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`);
}

const PREFIX = 'application/vnd.cncf.model.';

const KITFILE: Kitfile = {
  manifestVersion: '1.0.0',
  package: { name: 'tiny', version: '1.10', description: 'a <b> & c', license: 'MIT', authors: ['Ann', 'Bob'] },
  model: {
    name: 'm',
    path: './weights',
    license: 'Apache-2.0',
    format: 'safetensors',
    parts: [{ path: 'lora.safetensors', license: 'MIT' }],
  },
  code: [{ path: 'src/', description: 'code', license: 'BSD' }],
  datasets: [{ name: 'train', path: 'data.csv', parameters: { rows: 3 } }],
  docs: [{ path: 'README.md' }],
  prompts: [{ name: 'hello', path: 'hello.prompt' }],
};
const FILES = {
  'weights/': 0o755,
  'weights/README.md': 0o644,
  'weights/a-00001-of-00002.safetensors': 0o644,
  'weights/a-00002-of-00002.safetensors': 0o600,
  'weights/config.json': 0o644,
  'weights/modeling.py': 0o644,
  'lora.safetensors': 0o644,
  'src/': 0o755,
  'src/empty/': 0o755,
  'src/main.py': 0o644,
  'src/run.sh': 0o755,
  'data.csv': 0o644,
  'README.md': 0o644,
  'hello.prompt': 0o644,
};

test("the schema is model-spec's, and strict", () => {
  expect(violations({ descriptor: {}, config: {}, modelfs: { type: 'layers', diffIds: ['sha256:1'] } })).toEqual([]);
  for (const wrong of [
    { descriptor: {}, config: {} },
    { descriptor: { name: '' }, config: {}, modelfs: { type: 'layers', diffIds: ['a'] } },
    { descriptor: {}, config: { extra: 1 }, modelfs: { type: 'layers', diffIds: ['a'] } },
    { descriptor: {}, config: {}, modelfs: { type: 'layers', diffIds: [] } },
  ])
    expect(violations(wrong), JSON.stringify(wrong)).not.toEqual([]);
});

test.each(['modctl-raw', 'modctl-tar'])('the schema takes the config of %s', (layout) => {
  const bytes = readBlob(layout, loadManifest(layout).config);
  expect(violations(JSON.parse(bytes.toString()))).toEqual([]);
});

describe('raw, the default', () => {
  test('every file is a layer, typed by what it is', () => {
    const { layers } = packed(modelpack, KITFILE, FILES);
    expect(layers.map(({ path, mediaType }) => [path, mediaType.slice(PREFIX.length)])).toEqual([
      ['weights/README.md', 'doc.v1.raw'],
      ['weights/a-00001-of-00002.safetensors', 'weight.v1.raw'],
      ['weights/a-00002-of-00002.safetensors', 'weight.v1.raw'],
      ['weights/config.json', 'weight.config.v1.raw'],
      ['weights/modeling.py', 'code.v1.raw'],
      ['lora.safetensors', 'weight.v1.raw'],
      ['src/main.py', 'code.v1.raw'],
      ['src/run.sh', 'code.v1.raw'],
      ['data.csv', 'dataset.v1.raw'],
      ['README.md', 'doc.v1.raw'],
      ['hello.prompt', 'code.v1.raw'],
    ]);
  });

  test('a file that the Kitfile calls the model is weights, whatever its name', () => {
    const { layers } = packed(modelpack, { ...KITFILE, model: { path: 'weights/config.json' } }, FILES);
    expect(layers[0]).toMatchObject({ path: 'weights/config.json', mediaType: `${PREFIX}weight.v1.raw` });
  });

  test('both names and the mode are on each layer', () => {
    const { layers } = packed(modelpack, KITFILE, FILES);
    expect(layers.find(({ path }) => path === 'src/run.sh')?.annotations).toEqual({
      'org.cncf.model.file.metadata+json':
        '{"name":"run.sh","mode":493,"uid":0,"gid":0,"size":10,"mtime":"1970-01-01T00:00:00Z","typeflag":48}',
      'org.cncf.model.filepath': 'src/run.sh',
      'org.opencontainers.image.title': 'src/run.sh',
    });
    expect(layers.at(-1)?.annotations).toHaveProperty(['ml.kitops.modelkit.layer-subtype'], 'prompt');
  });

  test('an empty folder is named in a warning, one that holds files of another layer is not', () => {
    const { warnings } = packed(modelpack, KITFILE, FILES);
    expect(warnings).toEqual([expect.stringMatching(/^DIRECTORY_LEFT_OUT src\/empty is/)]);
    const catchAll: Kitfile = { manifestVersion: '1.0.0', package: {}, model: { path: 'weights/config.json' }, code: [{ path: 'src' }] };
    expect(
      packed(modelpack, catchAll, { 'weights/': 0o755, 'weights/config.json': 0o644, 'src/': 0o755, 'src/a': 0o644 }).warnings,
    ).toEqual([]);
  });

  test('compressed it is refused, as are MCP servers and an artifact without files', () => {
    const unsupported = expect.objectContaining({ code: 'UNSUPPORTED' }) as unknown;
    expect(() => packed(modelpack, KITFILE, FILES, { encoding: 'raw', compression: 'gzip' })).toThrow(unsupported);
    expect(() => packed(modelpack, { ...KITFILE, mcpServers: [{ path: 'a.mcpb' }] }, { 'a.mcpb': 0o644 })).toThrow(unsupported);
    expect(() => packed(modelpack, { manifestVersion: '1.0.0', package: {} }, {})).toThrow(unsupported);
  });
});

describe('tar, as KitOps writes it', () => {
  test('one layer for each entry, named by filepath alone', () => {
    const { layers, artifact } = packed(modelpack, KITFILE, FILES, { encoding: 'tar' });
    expect(layers.map(({ path, mediaType }) => [path, mediaType.slice(PREFIX.length)])).toEqual([
      ['weights', 'weight.v1.tar'],
      ['lora.safetensors', 'weight.config.v1.tar'],
      ['src', 'code.v1.tar'],
      ['data.csv', 'dataset.v1.tar'],
      ['README.md', 'doc.v1.tar'],
      ['hello.prompt', 'code.v1.tar'],
    ]);
    expect(layers[0]?.annotations).toEqual({ 'org.cncf.model.filepath': 'weights' });
    expect(artifact.kitfile).toEqual(KITFILE);
    expect(artifact.layers.map(({ role, path }) => `${role} ${path}`)).toEqual([
      'model ./weights',
      'modelpart lora.safetensors',
      'code src/',
      'dataset data.csv',
      'docs README.md',
      'prompt hello.prompt',
    ]);
  });

  test('a compression makes it tar', () => {
    expect(packed(modelpack, KITFILE, FILES, { compression: 'zstd' }).layers[0]?.mediaType).toBe(`${PREFIX}weight.v1.tar+zstd`);
  });

  test('the Kitfile is in the annotation of KitOps, with digest and diffId, and in no other', () => {
    const { manifest } = packed(modelpack, KITFILE, FILES, { encoding: 'tar' });
    expect(Object.keys(manifest.annotations ?? {})).toEqual(['ml.kitops.modelkit.kitfile']);
    expect(JSON.parse(manifest.annotations?.['ml.kitops.modelkit.kitfile'] ?? '')).toMatchObject({
      model: { path: './weights', digest: digestOf(Buffer.from('weights')), diffId: digestOf(Buffer.from('weights')) },
      prompts: [{ name: 'hello', path: 'hello.prompt', digest: digestOf(Buffer.from('hello.prompt')) }],
    });
  });
});

describe('the config', () => {
  test('follows the schema, and is what KitOps makes of the Kitfile', () => {
    const { config, made, layers } = packed(modelpack, KITFILE, FILES);
    expect(violations(config)).toEqual([]);
    expect(Buffer.from(made.config.bytes).toString()).toBe(
      `{"descriptor":{"authors":["Ann","Bob"],"name":"tiny","version":"1.10","licenses":["Apache-2.0","BSD","MIT"],"title":"tiny",` +
        `"description":"a \\u003cb\\u003e \\u0026 c"},"modelfs":{"type":"layers","diffIds":[${layers
          .map(({ path }) => `"${digestOf(Buffer.from(path))}"`)
          .join(',')}]},"config":{"format":"safetensors"}}`,
    );
  });

  test('tells the time only when it is given', () => {
    const created = '2026-01-01T00:00:00Z';
    const { config, manifest } = packed(modelpack, KITFILE, FILES, { created });
    expect(violations(config)).toEqual([]);
    expect(config).toMatchObject({ descriptor: { createdAt: created } });
    expect(manifest.annotations).toMatchObject({ 'org.opencontainers.image.created': created });
  });

  test('holds what the weights say of themselves, and gives it back where no Kitfile is carried', () => {
    const facts = { architecture: 'llama', format: 'gguf', parameterCount: 8_030_261_248, precision: 'bfloat16', quantization: 'q4_0' };
    const { config, manifest, made } = packed(modelpack, KITFILE, FILES, { facts });
    expect(violations(config)).toEqual([]);
    expect(config).toMatchObject({ config: { architecture: 'llama', format: 'gguf', paramSize: '8b', precision: 'bfloat16' } });
    const { annotations: _, ...bare } = manifest;
    expect(modelpack.read(bare, made.config.bytes, 'bare').kitfile?.model).toMatchObject({
      format: 'gguf',
      parameters: { architecture: 'llama', paramSize: '8b', precision: 'bfloat16', quantization: 'q4_0' },
    });
  });

  test('the format comes from the names of the weights where the Kitfile gives none', () => {
    const { config } = packed(modelpack, { ...KITFILE, model: { path: 'lora.safetensors' } }, FILES);
    expect(config).toMatchObject({ config: { format: 'safetensors' } });
    const bare: Kitfile = { manifestVersion: '1.0.0', package: {}, code: [{ path: 'src' }] };
    expect(packed(modelpack, bare, FILES).config).toMatchObject({ descriptor: {}, config: {} });
  });
});

describe('the Kitfile of raw layers', () => {
  test('comes back as it was written', () => {
    expect(packed(modelpack, KITFILE, FILES).artifact.kitfile).toEqual(KITFILE);
  });

  test('each layer knows its entry', () => {
    const { layers } = packed(modelpack, KITFILE, FILES).artifact;
    expect(layers.map(({ role, name, path, within }) => [role, name, path, within])).toEqual([
      ['model', 'm', 'weights/README.md', './weights'],
      ['model', 'm', 'weights/a-00001-of-00002.safetensors', './weights'],
      ['model', 'm', 'weights/a-00002-of-00002.safetensors', './weights'],
      ['model', 'm', 'weights/config.json', './weights'],
      ['model', 'm', 'weights/modeling.py', './weights'],
      ['modelpart', undefined, 'lora.safetensors', undefined],
      ['code', undefined, 'src/main.py', 'src/'],
      ['code', undefined, 'src/run.sh', 'src/'],
      ['dataset', 'train', 'data.csv', undefined],
      ['docs', undefined, 'README.md', undefined],
      ['prompt', 'hello', 'hello.prompt', undefined],
    ]);
  });

  // KitOps 1.15 unpacks an entry for each layer, found by its digest
  test('KitOps is told of every layer', () => {
    const { manifest } = packed(modelpack, KITFILE, FILES);
    const spelled = JSON.parse(manifest.annotations?.['ml.kitops.modelkit.kitfile'] ?? '') as {
      model: { path: string; digest: string; name: string; parts: { path: string; digest: string; license?: string }[] };
      code: { path: string; digest: string; description: string }[];
    };
    const digests = [...JSON.stringify(spelled).matchAll(/"digest":"(sha256:\w+)"/g)].map(([, digest = '']) => digest);
    expect(new Set(digests)).toEqual(new Set(manifest.layers.map(({ digest }) => digest)));
    expect(digests).toHaveLength(manifest.layers.length);
    expect(spelled.model).toMatchObject({ name: 'm', path: 'weights/a-00001-of-00002.safetensors' });
    expect(spelled.model.digest).toBe(digestOf(Buffer.from(spelled.model.path)));
    expect(spelled.model.parts.map(({ path }) => path)).toEqual([
      'weights/README.md',
      'weights/a-00002-of-00002.safetensors',
      'weights/config.json',
      'weights/modeling.py',
      'lora.safetensors',
    ]);
    expect(spelled.model.parts.map(({ license }) => license)).toEqual([...Array.from({ length: 4 }, () => 'Apache-2.0'), 'MIT']);
    expect(spelled.code.map(({ path, description }) => [path, description])).toEqual([
      ['src/main.py', 'code'],
      ['src/run.sh', 'code'],
    ]);
  });

  test("without folders there is one Kitfile, and it is the author's", () => {
    const flat: Kitfile = { ...KITFILE, model: { path: 'lora.safetensors' }, code: [{ path: './src/main.py' }] };
    const { manifest, artifact } = packed(modelpack, flat, FILES);
    expect(Object.keys(manifest.annotations ?? {})).toEqual(['ml.kitops.modelkit.kitfile']);
    expect(artifact.kitfile).toEqual(flat);
  });
});
