import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { sandbox, type Sandbox } from '../support/kit.ts';
import { startRegistry } from '../support/registry.ts';

const FOLDER = join(import.meta.dirname, '..', '..', 'fixtures', 'model-files');
const KITFILE = 'manifestVersion: 1.0.0\npackage:\n  name: tiny\nmodel:\n  path: weights\n';

async function packed(files: Readonly<Record<string, string | Uint8Array>>, reference: string, box?: Sandbox): Promise<Sandbox> {
  const kit = box ?? (await sandbox());
  const folder = reference.replaceAll(/\W/g, '-');
  const inside = Object.fromEntries(Object.entries(files).map(([name, content]) => [`${folder}/weights/${name}`, content]));
  await kit.write({ [`${folder}/Kitfile`]: KITFILE, ...inside });
  await kit.ok(`pack ${folder} -t ${reference}`);
  return kit;
}

const fixture = async (name: string): Promise<Uint8Array> => await readFile(join(FOLDER, name));

describe('kit inspect --tensors', () => {
  test('shows what the headers say', async () => {
    const kit = await packed({ 'tiny.gguf': await fixture('tiny.gguf'), 'tiny.onnx': await fixture('tiny.onnx') }, 'tiny:v1');
    expect(await kit.kit('inspect --tensors tiny:v1')).toMatchInlineSnapshot(`
      exit 0
      --- stdout
      tiny:v1 (sha256:f8fbd640b841…)
      Format:           gguf, onnx
      Architecture:     llama
      Parameters:       6,678 (6.68K)
      Quantization:     MOSTLY_Q4_K_M
      Context length:   8,192 tokens
      Chat template:    50 characters; --format json shows it
      Memory:           11.1 KiB of weights + 4.0 MiB for keys and values at full context: about 4.0 MiB
      Blocks:           2 of up to 1.5 KiB each, 8.0 KiB outside of them

      DTYPE     TENSORS   PARAMETERS   SIZE
      F16       1         4,096        8.0 KiB
      F32       2         512          2.0 KiB
      Q4_K      2         2,048        1.1 KiB
      FLOAT     2         15           60 B
      FLOAT16   1         4            8 B
      INT4      1         3            2 B

      FILE                FORMAT                                        TENSORS   WEIGHTS    VERIFIED   LAYER
      weights/tiny.gguf   GGUF v3                                       5         11.1 KiB   yes        sha256:269762e15655…
      weights/tiny.onnx   ONNX, IR version 10, opset 21, ai.onnx.ml 3   4         70 B       yes        sha256:269762e15655…

      TENSOR                   DTYPE     SHAPE       PARAMETERS   SIZE      LAYER                 FILE
      token_embd.weight        F16       [256, 16]   4,096        8.0 KiB   sha256:269762e15655   weights/tiny.gguf
      blk.0.attn_q.weight      Q4_K      [256, 4]    1,024        576 B     sha256:269762e15655   weights/tiny.gguf
      blk.0.attn_norm.weight   F32       [256]       256          1.0 KiB   sha256:269762e15655   weights/tiny.gguf
      blk.1.attn_q.weight      Q4_K      [256, 4]    1,024        576 B     sha256:269762e15655   weights/tiny.gguf
      blk.1.attn_norm.weight   F32       [256]       256          1.0 KiB   sha256:269762e15655   weights/tiny.gguf
      weight                   FLOAT     [4, 3]      12           48 B      sha256:269762e15655   weights/tiny.onnx
      bias                     FLOAT     [3]         3            12 B      sha256:269762e15655   weights/tiny.onnx
      half                     FLOAT16   [2, 2]      4            8 B       sha256:269762e15655   weights/tiny.onnx
      packed                   INT4      [3]         3            2 B       sha256:269762e15655   weights/tiny.onnx

      GRAPH    NAME   DTYPE   SHAPE        FILE
      input    x      FLOAT   [batch, 4]   weights/tiny.onnx
      output   y      FLOAT   [batch, 3]   weights/tiny.onnx

      Read 21.5 KiB of the layers in 1 request.
    `);
  });

  test('from a registry, as JSON; nothing is stored', async () => {
    const registry = await startRegistry();
    onTestFinished(() => registry.close());
    const reference = `${registry.host}/team/tiny:v1`;
    const tokenizer = JSON.stringify({ chat_template: '{{ bos }}' });
    const kit = await packed({ 'm.safetensors': await fixture('tiny.safetensors'), 'tokenizer_config.json': tokenizer }, reference);
    await kit.ok(`push ${reference}`);
    await kit.ok(`remove ${reference}`);
    const { files, summary, read } = JSON.parse(await kit.ok(`inspect --remote --tensors ${reference} --format json`)) as {
      files: { path: string; verified: boolean; tensors: { name: string; shape: number[] }[] }[];
      summary: { parameters: number; chatTemplate: string; memory: { weights: number } };
      read: { requests: number };
    };
    expect(files.map(({ path, verified, tensors }) => [path, verified, tensors.length])).toEqual([
      ['weights/m.safetensors', true, 5],
      ['weights/tokenizer_config.json', true, 0],
    ]);
    expect(summary).toMatchObject({ parameters: 513, chatTemplate: '{{ bos }}', memory: { weights: 1544 } });
    expect(read.requests).toBe(1);
    expect((await kit.kit(`inspect ${reference}`)).status).toBe(3);
  });

  test('refuses a header that lies, and shows no control characters of one that does not', async () => {
    const name = 'a\u001b[31mred';
    const json = JSON.stringify({ [name]: { dtype: 'U8', shape: [4], data_offsets: [0, 4] } });
    const file = (declared: number) =>
      Buffer.concat([Buffer.from(BigUint64Array.of(BigInt(declared)).buffer), Buffer.from(json), Buffer.alloc(4)]);
    const kit = await packed({ 'm.safetensors': file(json.length) }, 'odd:v1');
    const shown = await kit.ok('inspect --tensors odd:v1');
    expect(shown).toContain('a?[31mred');
    expect(shown).not.toContain('\u001b');
    await packed({ 'm.safetensors': file(2 ** 40) }, 'bad:v1', kit);
    expect(await kit.kit('inspect --tensors bad:v1')).toMatchInlineSnapshot(`
      exit 6
      --- stderr
      error: weights/m.safetensors: a header of 1099511627776 bytes is declared where 70 follow (at byte 0)

      hint: the file is damaged, or was made to mislead: get it again from where it comes from
    `);
  });
});

describe('kit diff --tensors', () => {
  test('names what differs', async () => {
    const gguf = await fixture('tiny.gguf');
    const kit = await packed({ 'm.gguf': gguf, 'a.safetensors': await fixture('tiny.safetensors') }, 'tiny:v1');
    await packed({ 'm.gguf': gguf, 'b.onnx': await fixture('tiny.onnx') }, 'tiny:v2', kit);
    expect(await kit.kit('diff --tensors tiny:v1 tiny:v2')).toMatchInlineSnapshot(`
      exit 0
      --- stdout
      a: tiny:v1 (sha256:6517329f212b…)
      b: tiny:v2 (sha256:43dad788a7c6…)

      Added (4):
        weight   FLOAT [4, 3]     weights/b.onnx
        bias     FLOAT [3]        weights/b.onnx
        half     FLOAT16 [2, 2]   weights/b.onnx
        packed   INT4 [3]         weights/b.onnx

      Removed (5):
        scalar                                   I64 []        weights/a.safetensors
        empty                                    F32 [0, 4]    weights/a.safetensors
        model.embed_tokens.weight                F32 [32, 8]   weights/a.safetensors
        model.layers.0.self_attn.q_proj.weight   F16 [16, 8]   weights/a.safetensors
        model.layers.1.self_attn.q_proj.weight   F16 [16, 8]   weights/a.safetensors

      Same headers in layers that differ: their content may have changed:
        weights/m.gguf   5 tensors

      0 tensors identical by the digests of their layers
    `);
    expect(await kit.ok('diff --tensors tiny:v1 tiny:v1')).toMatch(
      /10 tensors identical by the digests of their layers; the tensors do not differ\n$/,
    );
    const json = JSON.parse(await kit.ok('diff --tensors tiny:v1 tiny:v2 --format json')) as Record<string, unknown[]>;
    expect([json['added']?.length, json['removed']?.length, json['undecided']]).toEqual([4, 5, [{ path: 'weights/m.gguf', tensors: 5 }]]);
  });
});
