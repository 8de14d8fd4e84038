import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { omlmd } from '../../../src/formats/omlmd.ts';
import { metadataBlobs, omlmdAnnotations, parseOmlmdMetadata } from '../../../src/formats/omlmd-metadata.ts';
import { pythonJson } from '../../../src/formats/python-json.ts';
import { pythonYaml } from '../../../src/formats/python-yaml.ts';
import { formatOf } from '../../../src/formats/registry.ts';
import type { Kitfile } from '../../../src/kitfile/types.ts';
import { digestOf } from '../../../src/oci/digest.ts';
import { type JsonValue, parseExactJson } from '../../../src/oci/json.ts';
import type { Manifest } from '../../../src/oci/manifest.ts';
import { loadManifest, readBlob } from '../../support/golden-layout.ts';
import { packed } from './packing.ts';

const manifest = loadManifest('omlmd');
const config = readBlob('omlmd', manifest.config);
const written = JSON.parse(readFileSync(join(import.meta.dirname, '../../../fixtures/golden/omlmd-io/metadata.json'), 'utf8')) as Record<
  string,
  JsonValue
>;

const code = (name: string, text: string) =>
  expect.objectContaining({ code: name, message: expect.stringContaining(text) as unknown }) as unknown;

describe('an artifact of omlmd', () => {
  test('each layer is the file that its title names', () => {
    expect(formatOf(manifest)).toBe(omlmd);
    const { layers } = omlmd.read(manifest, config, 'the-name');
    expect(layers.map(({ path, encoding, target, role }) => [path, encoding, target, role])).toEqual([
      ['tiny-golden-F32.gguf', 'raw', 'tiny-golden-F32.gguf', 'model'],
      ['model_metadata.omlmd.json', 'raw', 'model_metadata.omlmd.json', 'file'],
      ['model_metadata.omlmd.yaml', 'raw', 'model_metadata.omlmd.yaml', 'file'],
    ]);
  });

  test('a Kitfile is derived: custom properties are parameters', () => {
    const { name, description, author, model_format_name, model_format_version: _, ...properties } = written;
    expect(omlmd.read(manifest, config, 'the-name').kitfile).toEqual({
      manifestVersion: '1.0.0',
      package: { name, description, authors: [author] },
      model: {
        name,
        description,
        path: 'tiny-golden-F32.gguf',
        format: model_format_name,
        license: 'Apache-2.0',
        parameters: properties,
      },
    });
  });

  test('the metadata files and annotations are written byte for byte', () => {
    const metadata = parseOmlmdMetadata(parseExactJson(config.toString()), 'the-name');
    const { json, yaml } = metadataBlobs(metadata);
    expect(json.descriptor).toEqual(manifest.config);
    expect(Buffer.from(yaml.bytes).toString()).toBe(readBlob('omlmd', manifest.layers[2]!).toString());
    expect(omlmdAnnotations(metadata)).toEqual(manifest.annotations);
  });

  test('the type that omlmd gave models before September 2024', () => {
    const [model, ...others] = manifest.layers;
    const older: Manifest = { ...manifest, layers: [{ ...model!, mediaType: 'application/x-artifact' }, ...others] };
    expect(omlmd.read(older, config, 'the-name').layers[0]?.role).toBe('model');
  });

  test('an artifact with the same config type that is none', () => {
    expect(omlmd.detect({ ...manifest, layers: manifest.layers.slice(0, 1) })).toBe(false);
  });
});

const KITFILE: Kitfile = {
  manifestVersion: '1.0.0',
  package: { name: 'p', version: '2', license: 'MIT', authors: ['Ann', 'Bob'] },
  model: { path: 'm', description: 'd', parameters: { accuracy: 0.9, license: 'mine', nested: { a: [1, null] } } },
  docs: [{ path: 'README.md' }],
};
const FILES = { 'm/': 0o755, 'm/a.onnx': 0o644, 'm/b.json': 0o600, 'README.md': 0o644 };

describe('writing', () => {
  test('the config is a layer too, and every layer has a title', () => {
    const { manifest: made, made: artifact } = packed(omlmd, KITFILE, FILES);
    expect(made.layers.map(({ mediaType, annotations }) => [mediaType, annotations?.['org.opencontainers.image.title']])).toEqual([
      ['application/x-mlmodel', 'm/a.onnx'],
      ['application/x-mlmodel', 'm/b.json'],
      ['application/octet-stream', 'README.md'],
      ['application/x-config', 'model_metadata.omlmd.json'],
      ['application/x-config', 'model_metadata.omlmd.yaml'],
    ]);
    expect(made).not.toHaveProperty('artifactType');
    expect(made.layers[3]).toMatchObject({ digest: made.config.digest, size: made.config.size });
    expect(made.config).toEqual(artifact.config.descriptor);
    expect(made.layers[4]).toMatchObject(artifact.extra[0]!.descriptor);
  });

  test('explicit properties survive; what has no field is added to them, never over them', () => {
    const { config: metadata, manifest: made } = packed(omlmd, KITFILE, FILES, { facts: { formatVersion: '7' } });
    expect(metadata).toEqual({
      name: 'p',
      description: 'd',
      author: 'Ann, Bob',
      customProperties: { accuracy: 0.9, license: 'mine', nested: { a: [1, null] }, version: '2' },
      uri: null,
      model_format_name: 'onnx',
      model_format_version: '7',
    });
    expect(made.annotations).toMatchObject({
      name: 'p',
      'customProperties+json': '{"accuracy": 0.9, "license": "mine", "nested": {"a": [1, null]}, "version": "2"}',
    });
    expect(made.annotations).not.toHaveProperty('uri');
  });

  test('the Kitfile comes back, and the metadata are no entry of it', () => {
    const { artifact } = packed(omlmd, KITFILE, FILES);
    expect(artifact.kitfile).toEqual(KITFILE);
    expect(artifact.layers.map(({ role, path }) => `${role} ${path}`)).toEqual([
      'model m/a.onnx',
      'model m/b.json',
      'docs README.md',
      'file model_metadata.omlmd.json',
      'file model_metadata.omlmd.yaml',
    ]);
  });

  test('empty metadata', () => {
    const { manifest: made, config: metadata } = packed(
      omlmd,
      { manifestVersion: '1.0.0', package: {}, model: { path: 'a' } },
      { a: 0o644 },
    );
    expect(metadata).toMatchObject({ name: null, customProperties: {} });
    expect(made.annotations).toMatchObject({ 'customProperties+json': '{}' });
  });

  test('refused: tar, compression, and files that would be in the way of the metadata', () => {
    expect(() => packed(omlmd, KITFILE, FILES, { encoding: 'tar' })).toThrow(code('UNSUPPORTED', 'tar'));
    expect(() => packed(omlmd, KITFILE, FILES, { compression: 'zstd' })).toThrow(code('UNSUPPORTED', 'compression'));
    const unpacked: Kitfile = { manifestVersion: '1.0.0', package: {}, model: { path: '.' } };
    expect(() => packed(omlmd, unpacked, { a: 0o644, 'model_metadata.omlmd.json': 0o644 })).toThrow(
      code('UNSUPPORTED', 'model_metadata.omlmd.json'),
    );
  });
});

const read = (json: string) => omlmd.read(manifest, Buffer.from(json), 'the-name');

describe('hostile', () => {
  test.each([
    ['no JSON', '{'],
    ['another type', '[]'],
    ['a field of another type', '{"name": 5}'],
    ['properties that are no object', '{"customProperties": [1]}'],
    ['deep nesting', `{"customProperties": {"a": ${'['.repeat(5000)}${']'.repeat(5000)}}}`],
  ])('%s', (_, json) => {
    expect(() => read(json)).toThrow(code('MANIFEST_INVALID', 'the-name'));
  });

  test('keys of objects that JavaScript knows are keys like others', () => {
    const { kitfile } = read('{"customProperties": {"__proto__": 1, "constructor": 2}}');
    expect(Object.entries(kitfile?.model?.parameters as object)).toEqual([
      ['__proto__', 1],
      ['constructor', 2],
    ]);
  });

  test('title-dotdot: the path is handed on as it is, for the check before the download', () => {
    const tampered = loadManifest('tampered/title-dotdot');
    const { layers } = formatOf(tampered).read(tampered, readBlob('tampered/title-dotdot', tampered.config), 'the-name');
    expect(layers.map(({ target }) => target)).toContain('../evil.txt');
  });

  test('a layer without a title', () => {
    const bare = { mediaType: 'application/x-mlmodel', digest: digestOf(Buffer.from('a')), size: 1 };
    expect(() => omlmd.read({ ...manifest, layers: [bare, ...manifest.layers] }, config, 'the-name')).toThrow(
      code('UNSUPPORTED', 'no title'),
    );
  });
});

// the right-hand sides are what Python 3.11 and PyYAML 6 print
describe('the text of Python', () => {
  test.each<[JsonValue, string]>([
    [0.1, '0.1'],
    [1e-7, '1e-07'],
    [0.00001, '1e-05'],
    [0.0001, '0.0001'],
    [1.5e300, '1.5e+300'],
    [12345678901234567890n, '12345678901234567890'],
    ['é模😀\u007f\u2028"\\/', String.raw`"\u00e9\u6a21\ud83d\ude00\u007f\u2028\"\\/"`],
    [{ a: [1, { b: [] }], c: {} }, '{"a": [1, {"b": []}], "c": {}}'],
  ])('json.dumps %#', (value, text) => {
    expect(pythonJson(value)).toBe(text);
  });

  test.each<[JsonValue, string]>([
    [{ b: 1, a: [] }, 'a: []\nb: 1\n'],
    [{ a: [1, [2, {}], { c: null, b: true }] }, 'a:\n- 1\n- - 2\n  - {}\n- b: true\n  c: null\n'],
    [
      ['yes', 'null', '1', '0x1F', '1_0', '1.5', '1e3', '2020-01-01', '12:30', '', '~', '<<', '.5'],
      "- 'yes'\n- 'null'\n- '1'\n- '0x1F'\n- '1_0'\n- '1.5'\n- 1e3\n- '2020-01-01'\n- '12:30'\n- ''\n- '~'\n- '<<'\n- '.5'\n",
    ],
    [
      ['- a', 'a: b', 'a:b', 'a #b', '#a', ' a', '?a', '?', "it's", '"q"', '---', 'a- b'],
      "- '- a'\n- 'a: b'\n- a:b\n- 'a #b'\n- '#a'\n- ' a'\n- ?a\n- '?'\n- it's\n- '\"q\"'\n- '---'\n- a- b\n",
    ],
    [['é', '模', '😀', '\u2028', '\0'], '- "\\xE9"\n- "\\u6A21"\n- "\\U0001F600"\n- "\\L"\n- "\\0"\n'],
    [[1e-7, 1.5e-7, -2.5], '- 1.0e-07\n- 1.5e-07\n- -2.5\n'],
  ])('yaml.dump %#', (value, text) => {
    expect(pythonYaml(value)).toBe(text);
  });
});
