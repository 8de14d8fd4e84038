import { describe, expect, test } from 'vitest';
import { dockerModel } from '../../../src/formats/docker-model.ts';
import { formatOf } from '../../../src/formats/registry.ts';
import type { Kitfile } from '../../../src/kitfile/types.ts';
import { digestOf } from '../../../src/oci/digest.ts';
import type { Manifest } from '../../../src/oci/manifest.ts';
import { packed } from './packing.ts';

const CONFIG = 'application/vnd.docker.ai.model.config.v0';
const DIGEST = digestOf(Buffer.from('a'));

/** An artifact as Docker's builder makes it: layer types with the paths of their annotations. */
function docker(version: 1 | 2, layers: readonly (readonly [type: string, path?: string])[], config: object = {}) {
  const manifest: Manifest = {
    schemaVersion: 2,
    config: { mediaType: `${CONFIG}.${version}+json`, digest: DIGEST, size: 1 },
    layers: layers.map(([type, path]) => ({
      mediaType: `application/vnd.docker.ai.${type}`,
      digest: DIGEST,
      size: 1,
      ...(path !== undefined && { annotations: { 'org.cncf.model.filepath': path } }),
    })),
  };
  expect(formatOf(manifest)).toBe(dockerModel);
  return dockerModel.read(manifest, Buffer.from(JSON.stringify(config)), 'the-name');
}

const code = (name: string, text = 'the-name') =>
  expect.objectContaining({ code: name, message: expect.stringContaining(text) as unknown }) as unknown;

describe('reading', () => {
  test('v0.1 gives files the names that Docker gives them', () => {
    const { layers } = docker(1, [['gguf.v3'], ['license'], ['mmproj'], ['chat.template.jinja']]);
    expect(layers.map(({ role, target, encoding }) => [role, target, encoding])).toEqual([
      ['model', 'model.gguf', 'raw'],
      ['docs', 'LICENSE', 'raw'],
      ['modelpart', 'model.mmproj', 'raw'],
      ['modelpart', 'template.jinja', 'raw'],
    ]);
    expect(docker(1, [['gguf.v3'], ['license'], ['gguf.v3'], ['license']]).layers.map(({ target }) => target)).toEqual([
      'model-00001-of-00002.gguf',
      'LICENSE-00001-of-00002',
      'model-00002-of-00002.gguf',
      'LICENSE-00002-of-00002',
    ]);
  });

  test('archives of v0.1 are unpacked', () => {
    expect(docker(1, [['safetensors'], ['vllm.config.tar'], ['dir.tar']]).layers.slice(1)).toMatchObject([
      { encoding: 'tar', target: '', compression: 'none' },
      { encoding: 'tar', target: '', compression: 'none' },
    ]);
  });

  test('v0.2 keeps paths; a Kitfile is derived from the config', () => {
    const config = {
      config: {
        format: 'safetensors',
        quantization: 'F16',
        parameters: '1.10B',
        architecture: 'LlamaForCausalLM',
        size: '2.2GB',
        context_size: 4096,
      },
      descriptor: { created: '2026-07-01T00:00:00Z' },
      rootfs: { type: 'rootfs', diff_ids: [DIGEST, DIGEST, DIGEST] },
    };
    const artifact = docker(
      2,
      [
        ['safetensors', 'unet/a.safetensors'],
        ['model.file', 'config.json'],
        ['license', 'LICENSE'],
      ],
      config,
    );
    expect(artifact.layers.map(({ target, diffId }) => [target, diffId])).toEqual([
      ['unet/a.safetensors', DIGEST],
      ['config.json', DIGEST],
      ['LICENSE', DIGEST],
    ]);
    expect(artifact.kitfile).toEqual({
      manifestVersion: '1.0.0',
      package: {},
      model: {
        path: 'unet/a.safetensors',
        format: 'safetensors',
        parts: [{ path: 'config.json' }],
        parameters: { architecture: 'LlamaForCausalLM', parameters: '1.10B', quantization: 'F16', size: '2.2GB', context_size: 4096 },
      },
      docs: [{ path: 'LICENSE' }],
    });
  });

  test('paths are handed on as they are, for the check before the download', () => {
    expect(docker(2, [['safetensors', '../evil']]).layers[0]?.target).toBe('../evil');
  });

  test('what contradicts itself or is not known is refused', () => {
    expect(() => docker(1, [['gguf.v3']], { rootfs: { diff_ids: [DIGEST, DIGEST] } })).toThrow(code('MANIFEST_INVALID', '2 diffIds for 1'));
    expect(() => docker(1, [['gguf.v3']], { config: { format: 5 } })).toThrow(code('MANIFEST_INVALID', 'config.format'));
    expect(() => docker(1, [['constructor']])).toThrow(code('UNSUPPORTED', 'ai.constructor'));
  });
});

const GGUF: Kitfile = {
  manifestVersion: '1.0.0',
  package: { name: 'tiny' },
  model: {
    path: 'b-00002-of-00002.gguf',
    parts: [{ path: 'b-00001-of-00002.gguf' }, { path: 'mmproj-b.gguf' }, { path: 'chat_template.jinja' }],
  },
  docs: [{ path: 'LICENSE' }],
};
const GGUF_FILES = {
  'b-00001-of-00002.gguf': 0o644,
  'b-00002-of-00002.gguf': 0o644,
  'mmproj-b.gguf': 0o644,
  'chat_template.jinja': 0o644,
  LICENSE: 0o644,
};
const only = (path: string): Kitfile => ({ manifestVersion: '1.0.0', package: {}, model: { path } });
const short = ({ mediaType }: { mediaType: string }) => mediaType.replace('application/vnd.docker.ai.', '');

describe('writing', () => {
  test('GGUF with what belongs to it is v0.1; shards come in their order', () => {
    const { manifest, layers, config } = packed(dockerModel, GGUF, GGUF_FILES);
    expect(manifest.config.mediaType).toBe(`${CONFIG}.1+json`);
    expect(manifest).not.toHaveProperty('artifactType');
    expect(layers.map((layer) => [short(layer), layer.path])).toEqual([
      ['gguf.v3', 'b-00001-of-00002.gguf'],
      ['gguf.v3', 'b-00002-of-00002.gguf'],
      ['mmproj', 'mmproj-b.gguf'],
      ['chat.template.jinja', 'chat_template.jinja'],
      ['license', 'LICENSE'],
    ]);
    expect(config).toEqual({
      config: { format: 'gguf', size: '1.95KiB' },
      descriptor: {},
      rootfs: { type: 'rootfs', diff_ids: layers.map(({ path }) => digestOf(Buffer.from(path))) },
    });
  });

  test('a directory is v0.2, with its paths', () => {
    const kitfile: Kitfile = { manifestVersion: '1.0.0', package: {}, model: { path: '.' } };
    const files = { 'a/': 0o755, 'a/model.safetensors': 0o644, 'chat_template.json': 0o644, 'chat_template.jinja': 0o644, NOTICE: 0o644 };
    const { manifest, layers, artifact } = packed(dockerModel, kitfile, files);
    expect(manifest.config.mediaType).toBe(`${CONFIG}.2+json`);
    expect(layers.map(short)).toEqual(['safetensors', 'model.file', 'chat.template.jinja', 'license']);
    expect(layers[0]?.annotations).toMatchObject({
      'org.cncf.model.filepath': 'a/model.safetensors',
      'org.opencontainers.image.title': 'a/model.safetensors',
    });
    expect(artifact.kitfile).toEqual(kitfile);
  });

  test('facts of the weights, in the words of Docker', () => {
    const facts = {
      architecture: 'llama',
      parameterCount: 8_030_261_248,
      quantization: 'MOSTLY_Q4_K_M',
      contextSize: 8192,
      metadata: { 'general.name': 'x', 'general.architecture': 'llama' },
    };
    const { config, made } = packed(dockerModel, GGUF, GGUF_FILES, { facts, created: '2026-01-01T00:00:00Z' });
    expect(config).toMatchObject({
      config: { quantization: 'MOSTLY_Q4_K_M', parameters: '8.03B', architecture: 'llama', context_size: 8192 },
      descriptor: { created: '2026-01-01T00:00:00Z' },
    });
    // sorted as Go sorts a map; and nothing by which Docker would take it for a ModelPack's config
    const text = Buffer.from(made.config.bytes).toString();
    expect(text).toContain('"gguf":{"general.architecture":"llama","general.name":"x"}');
    expect(text).not.toMatch(/createdAt|modelfs|paramSize/);
    // context_size is an int32 there
    expect(packed(dockerModel, GGUF, GGUF_FILES, { facts: { contextSize: 2 ** 31 } }).config).not.toHaveProperty('config.context_size');
  });

  test('DDUF is what Docker calls diffusers', () => {
    const kitfile: Kitfile = { manifestVersion: '1.0.0', package: {}, model: { path: 'm.dduf' } };
    const { config, manifest, made } = packed(dockerModel, kitfile, { 'm.dduf': 0o644 });
    expect(config).toMatchObject({ config: { format: 'diffusers' } });
    expect(manifest.config.mediaType).toBe(`${CONFIG}.1+json`);
    const { annotations: _, ...bare } = manifest;
    expect(dockerModel.read(bare, made.config.bytes, 'bare').kitfile?.model?.format).toBe('dduf');
  });

  test('what Docker could not run is refused', () => {
    expect(() => packed(dockerModel, only('a.onnx'), { 'a.onnx': 0o644 })).toThrow(code('UNSUPPORTED', 'GGUF'));
    const two = { 'm/': 0o755, 'm/a.gguf': 0o644, 'm/mmproj-a.gguf': 0o644, 'm/mmproj-b.gguf': 0o644 };
    expect(() => packed(dockerModel, only('m'), two)).toThrow(code('UNSUPPORTED', 'm/mmproj-a.gguf, m/mmproj-b.gguf'));
    expect(() => packed(dockerModel, GGUF, GGUF_FILES, { encoding: 'tar' })).toThrow(code('UNSUPPORTED', 'tar'));
    expect(() => packed(dockerModel, GGUF, GGUF_FILES, { compression: 'gzip' })).toThrow(code('UNSUPPORTED', 'compression'));
  });
});
