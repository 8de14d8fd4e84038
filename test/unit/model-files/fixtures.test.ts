import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readGguf } from '../../../src/model-files/gguf.ts';
import type { ModelFile } from '../../../src/model-files/model-file.ts';
import { readOnnx } from '../../../src/model-files/onnx.ts';
import { readSafetensors } from '../../../src/model-files/safetensors.ts';
import { fileOf } from './build.ts';

const FOLDER = join(import.meta.dirname, '..', '..', '..', 'fixtures', 'model-files');
const fixture = (name: string) => fileOf(name, readFileSync(join(FOLDER, name)));

interface Expected {
  readonly 'tiny.gguf': { readonly fields: readonly string[]; readonly tensors: readonly unknown[] };
  readonly 'tiny-big-endian.gguf': Expected['tiny.gguf'];
  readonly 'tiny.safetensors': { readonly metadata: object; readonly tensors: Readonly<Record<string, unknown>> };
  readonly 'tiny.onnx': {
    readonly ir: string;
    readonly initializers: readonly unknown[];
    readonly inputs: unknown;
    readonly outputs: unknown;
  };
}

// what the reference libraries wrote, and what they read in it: make.py beside the files
const expected = JSON.parse(readFileSync(join(FOLDER, 'expected.json'), 'utf8')) as Expected;

describe('files of the reference libraries', () => {
  test.each(['tiny.gguf', 'tiny-big-endian.gguf'] as const)('%s', async (name) => {
    const found = await readGguf(fixture(name));
    expect(found.tensors).toEqual(expected[name].tensors);
    // a vocabulary is too long to be kept
    const short = expected[name].fields.filter((field) => !/^tokenizer\.ggml\.(?:tokens|scores)$/.test(field));
    expect(Object.keys(found.metadata).toSorted()).toEqual(short);
    expect(found.description).toBe(name.includes('big') ? 'GGUF v3, big-endian' : 'GGUF v3');
    expect(found.metadata).toMatchObject({
      'test.u64': String(2n ** 60n),
      'test.i64': '-5',
      'test.f64': '0.5',
      'test.bool': 'true',
      'test.i8': '-3',
      'test.u16': '65535',
      'test.i32': '-70000',
      'test.f32': '1.5',
      'test.list': '1, 2, 3',
      'general.tags': 'text, tiny',
    });
    expect(found.traits).toMatchObject({
      architecture: 'llama',
      quantization: 'MOSTLY_Q4_K_M',
      contextLength: 8192,
      blocks: 2,
      heads: 8,
      keyValueHeads: 2,
      keyLength: 32,
      vocabularySize: 300,
      chatTemplate: '{% for m in messages %}{{ m.content }}{% endfor %}',
    });
  });

  test('tiny.safetensors', async () => {
    const found = await readSafetensors(fixture('tiny.safetensors'));
    const { tensors, metadata } = expected['tiny.safetensors'];
    expect(Object.fromEntries(found.tensors.map(({ name, dtype, shape }) => [name, { dtype, shape }]))).toEqual(tensors);
    expect({ ...found.metadata }).toEqual(metadata);
    expect(sumOf(found)).toEqual({ parameters: 16 * 8 * 2 + 32 * 8 + 1, bytes: 16 * 8 * 4 + 32 * 8 * 4 + 8 });
  });

  test('tiny.onnx', async () => {
    const found = await readOnnx(fixture('tiny.onnx'));
    const { ir, initializers, inputs, outputs } = expected['tiny.onnx'];
    expect(found.tensors.map(({ name, dtype, shape }) => ({ name, dtype, shape }))).toEqual(initializers);
    expect(found.inputs).toEqual(inputs);
    expect(found.outputs).toEqual(outputs);
    expect(found.metadata).toMatchObject({
      ir_version: ir,
      producer_name: 'fixture',
      producer_version: '1.0',
      opset_import: '21, ai.onnx.ml 3',
      author: 'nobody',
    });
    expect(found.tensors.map(({ bytes }) => bytes)).toEqual([48, 12, 8, 2]);
  });
});

function sumOf({ tensors }: ModelFile): { parameters: number; bytes: number } {
  return {
    parameters: tensors.reduce((sum, { parameters }) => sum + parameters, 0),
    bytes: tensors.reduce((sum, { bytes = 0 }) => sum + bytes, 0),
  };
}
