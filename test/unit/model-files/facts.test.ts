import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { ModelFacts } from '../../../src/formats/model-facts.ts';
import type { ModelFile } from '../../../src/model-files/model-file.ts';
import { readModelFacts } from '../../../src/model-files/model-facts.ts';
import { isModelFile, isWeightsFile, readModelFile } from '../../../src/model-files/read-model-file.ts';
import { summarise } from '../../../src/model-files/summary.ts';
import { fileOf, safetensorsHeader } from './build.ts';

const FOLDER = join(import.meta.dirname, '..', '..', '..', 'fixtures', 'model-files');
const gguf = fileOf('tiny.gguf', readFileSync(join(FOLDER, 'tiny.gguf')));
const json = (name: string, value: unknown) => fileOf(name, Buffer.from(JSON.stringify(value)));

/** Tensors of U8, by name and elements, or with a type. */
function weights(name: string, tensors: Readonly<Record<string, number | readonly [dtype: string, elements: number, bytes: number]>>) {
  let at = 0;
  const entries = Object.entries(tensors).map(([key, spec]) => {
    const [dtype, elements, bytes] = typeof spec === 'number' ? (['U8', spec, spec] as const) : spec;
    at += bytes;
    return [key, { dtype, shape: [elements], data_offsets: [at - bytes, at] }] as const;
  });
  const header = safetensorsHeader(Object.fromEntries(entries));
  return fileOf(name, header, header.byteLength + at);
}

async function files(...list: readonly ReturnType<typeof fileOf>[]): Promise<ModelFile[]> {
  return (await Promise.all(list.map(readModelFile))).filter((file) => file !== undefined);
}

const CONFIG = {
  architectures: ['LlamaForCausalLM'],
  hidden_size: 64,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 128,
};

describe('facts for a format that describes its model', () => {
  test('of a GGUF file, as Docker Model Runner words them', async () => {
    // what is written takes them as they are
    const facts: ModelFacts = await readModelFacts([gguf]);
    expect(facts).toMatchObject({
      format: 'gguf',
      formatVersion: '3',
      architecture: 'llama',
      parameterCount: 16 * 256 + 2 * (4 * 256 + 256),
      quantization: 'MOSTLY_Q4_K_M',
      precision: undefined,
      contextSize: 8192,
    });
    expect(facts.metadata).toMatchObject({ 'general.architecture': 'llama', 'llama.context_length': '8192' });
    expect(facts.metadata).not.toHaveProperty(['tokenizer.ggml.tokens']);
  });

  test('of safetensors with config.json', async () => {
    const shards = [
      weights('m-00001-of-00002.safetensors', { a: ['BF16', 4, 8] }),
      weights('m-00002-of-00002.safetensors', { b: ['BF16', 6, 12] }),
    ];
    const facts = await readModelFacts([json('config.json', CONFIG), ...shards, fileOf('README.md', Buffer.from('x'))]);
    expect(facts).toEqual({
      format: 'safetensors',
      formatVersion: undefined,
      architecture: 'LlamaForCausalLM',
      parameterCount: 10,
      quantization: 'BF16',
      precision: 'bfloat16',
      contextSize: 128,
      metadata: { tensor_count: '1' },
    });
    const mixed = await readModelFacts([weights('m.safetensors', { a: ['BF16', 4, 8], b: ['F32', 1, 4] })]);
    expect(mixed).toMatchObject({ quantization: 'mixed', precision: 'bfloat16,float32' });
  });

  test('of nothing', async () => {
    const facts = await readModelFacts([fileOf('x.py', Buffer.from('x'))]);
    expect(Object.values(facts).every((value) => value === undefined)).toBe(true);
  });
});

describe('a summary', () => {
  test('estimates memory: weights by block, keys and values at full context', async () => {
    const tensors = { 'model.layers.0.q': 10, 'model.layers.1.q': 20, 'model.layers.1.k': 5, 'lm_head.weight': 7 };
    const { memory } = summarise(await files(weights('m.safetensors', tensors), json('config.json', CONFIG)));
    const keyValueCache = 2 * 2 * 2 * (16 + 16) * 128;
    expect(memory).toEqual({
      weights: 42,
      keyValueCache,
      total: 42 + keyValueCache,
      blocks: [
        { block: 0, bytes: 10 },
        { block: 1, bytes: 25 },
      ],
      otherWeights: 7,
    });
  });

  test('counts the weights that GPTQ and AWQ pack, not their scales', async () => {
    const packed = { 'l.qweight': ['I32', 100, 400], 'l.scales': ['F16', 8, 16], 'l.qzeros': ['I32', 2, 8], norm: ['F16', 5, 10] } as const;
    const config = json('config.json', { ...CONFIG, quantization_config: { quant_method: 'gptq', bits: 4 } });
    const summary = summarise(await files(weights('m.safetensors', packed), config));
    expect(summary).toMatchObject({ parameters: 805, quantization: 'gptq' });
  });

  test('names shards that are not there', async () => {
    const one = weights('sub/m-00001-of-00003.safetensors', { a: 1 });
    const index = json('sub/model.safetensors.index.json', { weight_map: { a: 'm-00001-of-00003.safetensors', b: 'other.safetensors' } });
    expect(summarise(await files(one, index)).missing).toEqual([
      'sub/m-00002-of-00003.safetensors',
      'sub/m-00003-of-00003.safetensors',
      'sub/other.safetensors',
    ]);
  });

  test('asks the model before its projector, and weights before configurations', async () => {
    const projector = fileOf('mmproj.gguf', readFileSync(join(FOLDER, 'tiny-big-endian.gguf')));
    const config = json('config.json', { ...CONFIG, max_position_embeddings: 5, vocab_size: 9 });
    const summary = summarise(await files(json('a/config.json', {}), projector, config, gguf));
    expect(summary).toMatchObject({ contextLength: 8192, architecture: 'llama', formats: ['gguf'] });
  });
});

describe('configurations', () => {
  test('text_config, older names, a template among several', async () => {
    const [config, tokenizer, template] = await files(
      json('x/config.json', { model_type: 'gpt2', n_layer: 12, n_head: 12, n_embd: 768, n_ctx: 1024, text_config: { vocab_size: 10 } }),
      json('tokenizer_config.json', {
        model_max_length: 1e30,
        chat_template: [
          { name: 'tool', template: 'T' },
          { name: 'default', template: 'D' },
        ],
      }),
      fileOf('chat_template.jinja', Buffer.from('{{ ü }}')),
    );
    expect(config?.traits).toMatchObject({ architecture: 'gpt2', blocks: 12, keyLength: 64, contextLength: 1024, vocabularySize: 10 });
    expect(tokenizer?.traits).toEqual({ chatTemplate: 'D' });
    expect(template?.traits).toEqual({ chatTemplate: '{{ ü }}' });
  });

  test('values of the wrong kind count for nothing', async () => {
    const odd = { architectures: 'x', hidden_size: '64', num_hidden_layers: -1, max_position_embeddings: 1.5, quantization_config: [] };
    const [config] = await files(json('config.json', odd));
    expect(Object.values(config?.traits ?? {}).every((value) => value === undefined)).toBe(true);
  });

  test.each([
    ['config.json', Buffer.from('[]'), 'LAYER_INVALID'],
    ['config.json', Buffer.from('{'), 'LAYER_INVALID'],
    ['chat_template.jinja', Buffer.from([0xff]), 'LAYER_INVALID'],
  ])('%s that is none', async (name, bytes, code) => {
    await expect(readModelFile(fileOf(name, bytes))).rejects.toMatchObject({ code });
  });

  test('one of 5 MB is not read', async () => {
    const file = fileOf('config.json', Buffer.alloc(0), 5_000_000);
    await expect(readModelFile(file)).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' });
    expect(file.reads).toEqual([]);
  });
});

test.each([
  ['a zip', Buffer.from('PK\u0003\u0004rest'), 'zip archive, as PyTorch writes it with a pickle inside'],
  ['a pickle', Buffer.from([0x80, 0x02, 0x63, 0x6f, 0x73]), 'pickle'],
  ['neither', Buffer.from('hello'), 'not recognised'],
  ['empty', Buffer.alloc(0), 'not recognised'],
])('a checkpoint of PyTorch that is %s is named, not read', async (_, bytes, description) => {
  const found = await readModelFile(fileOf('pytorch_model.bin', bytes));
  expect(found).toMatchObject({ format: 'pytorch', description, tensors: [] });
});

test('which files are looked at', () => {
  const names = [
    'a.GGUF',
    'a/b.safetensors',
    'x.onnx',
    'config.json',
    'generation_config.json',
    'README.md',
    'tokenizer.json',
    'constructor',
  ];
  expect(names.filter(isModelFile)).toEqual(['a.GGUF', 'a/b.safetensors', 'x.onnx', 'config.json']);
  expect(names.filter(isWeightsFile)).toEqual(['a.GGUF', 'a/b.safetensors', 'x.onnx']);
});
