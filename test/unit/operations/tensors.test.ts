import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished, describe, expect, test } from 'vitest';
import { parseLocation } from '../../../src/oci/reference.ts';
import type { DiffSide } from '../../../src/operations/diff/sides.ts';
import { diffTensors, type TensorsDiff } from '../../../src/operations/diff/tensors.ts';
import type { Kit } from '../../../src/operations/kit.ts';
import { inspectTensors } from '../../../src/operations/tensors/tensors.ts';
import { startRegistry, type TestRegistry } from '../../support/registry.ts';
import { GgufBytes } from '../model-files/build.ts';
import { workspace, type Workspace } from './sandbox.ts';
import { addFiles, addManifest, addSparse, layer, llamaHeader, sparseTar } from './tensors-sample.ts';

const GB = 1e9;
const MODEL_LAYER = 'application/vnd.kitops.modelkit.model.v1.tar';
const KITFILE = {
  mediaType: 'application/vnd.kitops.modelkit.config.v1+json',
  config: { manifestVersion: '1.0.0', package: {}, model: { path: 'weights' } },
};
const CONFIG = Buffer.from(JSON.stringify({ architectures: ['LlamaForCausalLM'], max_position_embeddings: 8192 }));

/** Of two artifacts. */
async function compare(kit: Kit, a: DiffSide, b: DiffSide): Promise<TensorsDiff> {
  const result = await diffTensors(kit, { a, b });
  if ('members' in result) throw new Error('these are indexes');
  return result;
}

interface Setup extends Workspace {
  readonly registry: TestRegistry;
  readonly directory: string;
  readonly look: (reference: string) => ReturnType<typeof inspectTensors>;
}

async function setup(): Promise<Setup> {
  const directory = mkdtempSync(join(tmpdir(), 'ocikit-tensors-'));
  const registry = await startRegistry({ directory });
  const space = workspace();
  onTestFinished(async () => {
    await registry.close();
    rmSync(directory, { recursive: true, force: true });
  });
  const look = (reference: string) => inspectTensors(space.kit, parseLocation(`${registry.host}/${reference}`), 'remote', space.call);
  return { ...space, registry, directory, look };
}

describe('a model of 140 GB in a registry', () => {
  test('three shards and configurations in raw layers', async () => {
    const { registry, directory, look } = await setup();
    const shards = await Promise.all(
      [1, 2, 3].map(async (number) => {
        // one is longer than the first read
        const header = llamaHeader(`shard${number}.model`, number === 1 ? 5000 : 250, 46 * GB);
        const size = header.byteLength + 46 * GB;
        const digest = await addSparse(registry, directory, 'big', size, [{ at: 0, bytes: header }]);
        return { path: `model-0000${number}-of-00003.safetensors`, digest, size };
      }),
    );
    const config = { path: 'config.json', digest: await registry.addBlob('big', CONFIG), size: CONFIG.byteLength };
    await addFiles(registry, 'big', 'v1', [config, ...shards]);
    registry.clear();
    const result = await look('big:v1');
    expect(result.summary).toMatchObject({
      architecture: 'LlamaForCausalLM',
      parameters: 69 * GB,
      tensors: 5500,
      quantization: 'BF16',
      contextLength: 8192,
      memory: { weights: 138 * GB },
      missing: [],
    });
    expect(result.files.map(({ path, verified, layer: digest }) => [path, verified, digest])).toEqual([
      ['config.json', true, config.digest],
      ...shards.map(({ path, digest }) => [path, false, digest]),
    ]);
    // three for the manifest and its config, one for config.json and each shard, one more for the long header
    expect(registry.requests.length).toBeLessThan(10);
    expect(result.read).toEqual({ requests: 5, bytes: expect.any(Number) as number });
    expect(result.read.bytes).toBeLessThan(2_000_000);
  });

  test('one GGUF file with a large vocabulary', async () => {
    const { registry, directory, look } = await setup();
    const g = new GgufBytes();
    const words = Array.from({ length: 250_000 }, (_, at) => g.text(`a word of the vocabulary ${at}`));
    const header = g.header({
      pairs: [
        ['general.architecture', g.textValue('llama')],
        ['general.file_type', g.countValue(7)],
        ['llama.context_length', g.countValue(131_072)],
        ['tokenizer.ggml.tokens', g.array(8, words)],
        ['tokenizer.ggml.scores', g.array(6, [Buffer.alloc(1_000_000)], 250_000)],
        ['tokenizer.chat_template', g.textValue('{{ messages }}')],
      ],
      tensors: [{ name: 'blk.0.ffn_down.weight', shape: [2 ** 16, 2 ** 21], type: 8, offset: 0 }],
    });
    expect(header.byteLength).toBeGreaterThan(9_000_000);
    const size = header.byteLength + 2 ** 37 * (34 / 32) + 32;
    const digest = await addSparse(registry, directory, 'big', size, [{ at: 0, bytes: header }]);
    await addFiles(registry, 'big', 'v1', [{ path: 'model-Q8_0.gguf', digest, size }]);
    registry.clear();
    const result = await look('big:v1');
    expect(result.summary).toMatchObject({
      formats: ['gguf'],
      quantization: 'MOSTLY_Q8_0',
      parameters: 2 ** 37,
      contextLength: 131_072,
      chatTemplate: '{{ messages }}',
    });
    expect(result.summary.memory.weights).toBeGreaterThan(140 * GB);
    expect(registry.requests.length).toBeLessThan(10);
    expect(result.read.bytes).toBeLessThan(16_000_000);
  });

  test('a tar layer of a ModelKit: contents are jumped over', async () => {
    const { registry, directory, look } = await setup();
    const shard = (number: number) => {
      const start = llamaHeader(`shard${number}.model`, 200, 46 * GB);
      return { path: `weights/model-0000${number}-of-00003.safetensors`, start, size: start.byteLength + 46 * GB };
    };
    const files = [
      { path: 'weights/config.json', start: CONFIG, size: CONFIG.byteLength },
      shard(1),
      shard(2),
      shard(3),
      { path: 'weights/pytorch_model.bin', start: Buffer.from('PK\u0003\u0004'), size: 5 * GB },
      { path: 'weights/tokenizer.json', start: Buffer.from('{'), size: 17_000_000 },
    ];
    const { size, parts } = sparseTar(files);
    const digest = await addSparse(registry, directory, 'big', size, parts);
    await addManifest(registry, 'big', 'v1', KITFILE, [layer(MODEL_LAYER, { digest, size })]);
    registry.clear();
    const result = await look('big:v1');
    expect(result.summary).toMatchObject({ parameters: 69 * GB, tensors: 600, contextLength: 8192, missing: [] });
    expect(result.files.map(({ path }) => path)).toEqual(files.slice(0, 5).map(({ path }) => path));
    expect(result.files.every(({ verified, layer: found }) => !verified && found === digest)).toBe(true);
    expect(registry.requests.length).toBeLessThan(10);
    expect(result.read.bytes).toBeLessThan(2_000_000);
  });
});

test('many short files of an archive come in few requests', async () => {
  const { registry, directory, look } = await setup();
  const files = Array.from({ length: 400 }, (_, at) => ({ path: `weights/${at}.txt`, start: Buffer.from('x'), size: 3000 }));
  const { size, parts } = sparseTar(files);
  const digest = await addSparse(registry, directory, 'many', size, parts);
  await addManifest(registry, 'many', 'v1', KITFILE, [layer(MODEL_LAYER, { digest, size })]);
  const { read, files: found } = await look('many:v1');
  expect(found).toEqual([]);
  expect(size).toBeGreaterThan(1_400_000);
  expect(read.requests).toBeLessThan(6);
});

test('what is not looked into is named, and why', async () => {
  const { registry, look } = await setup();
  const bytes = Buffer.from('{');
  const config = { digest: await registry.addBlob('odd', bytes), size: bytes.byteLength };
  const packed = { digest: await registry.addBlob('odd', Buffer.from('not read')), size: 8 };
  const title = { 'org.opencontainers.image.title': 'config.json' };
  await addManifest(registry, 'odd', 'v1', { mediaType: 'application/vnd.oci.empty.v1+json', config: {} }, [
    layer('application/octet-stream', config, title),
    layer('application/vnd.oci.image.layer.v1.tar+gzip', packed),
  ]);
  const { unread, files } = await look('odd:v1');
  expect(files).toEqual([]);
  expect(unread).toEqual([
    { path: 'config.json', layer: config.digest, reason: 'config.json: the file is no JSON' },
    { path: packed.digest, layer: packed.digest, reason: 'compressed with gzip: it has to be downloaded as a whole' },
  ]);
});

describe('refused', () => {
  test('a registry that sends whole blobs only: 46 GB are not fetched for a header', async () => {
    const { registry, directory, look } = await setup();
    const header = llamaHeader('model', 10, 46 * GB);
    const size = header.byteLength + 46 * GB;
    const digest = await addSparse(registry, directory, 'whole', size, [{ at: 0, bytes: header }]);
    await addFiles(registry, 'whole', 'v1', [{ path: 'm.safetensors', digest, size }]);
    registry.behaviour.ranges = false;
    await expect(look('whole:v1')).rejects.toMatchObject({ code: 'UNSUPPORTED' });
  });

  test('weights whose header lies, by the name of the file and the offset', async () => {
    const { registry, look } = await setup();
    const bytes = Buffer.alloc(16, 0xff);
    await addFiles(registry, 'bad', 'v1', [{ path: 'x/m.safetensors', digest: await registry.addBlob('bad', bytes), size: 16 }]);
    await expect(look('bad:v1')).rejects.toMatchObject({
      code: 'LAYER_INVALID',
      message: expect.stringMatching(/^x\/m\.safetensors: .*\(at byte 0\)$/) as unknown,
    });
  });

  test('a small file that does not have its digest', async () => {
    const { registry, look } = await setup();
    const digest = await registry.addBlob('bad', CONFIG);
    await addFiles(registry, 'bad', 'v1', [{ path: 'config.json', digest, size: CONFIG.byteLength }]);
    await registry.storage.replaceBlob(digest, Buffer.from(CONFIG.toString().replace('8192', '9999')));
    await expect(look('bad:v1')).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
  });

  test.each([
    ['a header with a wrong check sum', { at: 20, bytes: Buffer.from('zzz') }, /wrong check sum/],
    ['an entry beyond the layer', undefined, /weights\/a\.bin with 5000000 bytes where \d+ follow/],
  ])('an archive with %s', async (_, damage, message) => {
    const { registry, directory, look } = await setup();
    const { size, parts } = sparseTar([{ path: 'weights/a.bin', start: Buffer.from('x'), size: 5_000_000 }]);
    const short = damage === undefined ? 2_000_000 : size;
    const digest = await addSparse(registry, directory, 'bad', short, damage === undefined ? parts : [...parts, damage]);
    await addManifest(registry, 'bad', 'v1', KITFILE, [layer(MODEL_LAYER, { digest, size: short })]);
    await expect(look('bad:v1')).rejects.toMatchObject({ code: 'LAYER_INVALID', message: expect.stringMatching(message) as unknown });
  });
});

describe('two versions', () => {
  test('what was added, removed, changed and moved, from headers and digests', async () => {
    const { registry, kit } = await setup();
    const add = async (path: string, tensors: Readonly<Record<string, readonly [string, number]>>, salt = 0) => {
      let at = 0;
      const entries = Object.entries(tensors).map(([name, [dtype, bytes]]) => {
        at += bytes;
        return [name, { dtype, shape: [bytes / (dtype === 'U8' ? 1 : 2)], data_offsets: [at - bytes, at] }];
      });
      const json = Buffer.from(JSON.stringify(Object.fromEntries(entries)));
      const length = Buffer.alloc(8);
      length.writeBigUInt64LE(BigInt(json.byteLength));
      const file = Buffer.concat([length, json, Buffer.alloc(at, salt)]);
      return { path, digest: await registry.addBlob('two', file), size: file.byteLength };
    };
    const shared = await add('shared.safetensors', { s1: ['U8', 4], s2: ['F16', 4] });
    const before = [shared, await add('a.safetensors', { gone: ['U8', 4], type: ['F16', 4], moves: ['U8', 2], stays: ['U8', 8] })];
    const after = [
      shared,
      await add('a.safetensors', { type: ['BF16', 4], stays: ['U8', 8] }, 1),
      await add('b.safetensors', { moves: ['U8', 2], fresh: ['U8', 6] }),
    ];
    await addFiles(registry, 'two', 'v1', before);
    await addFiles(registry, 'two', 'v2', after);
    registry.clear();
    const side = (tag: string) => ({ location: parseLocation(`${registry.host}/two:${tag}`), lookup: 'remote' as const });
    const result = await compare(kit, side('v1'), side('v2'));
    expect(result.added.map(({ name }) => name)).toEqual(['fresh']);
    expect(result.removed.map(({ name }) => name)).toEqual(['gone']);
    expect(result.changed.map(({ a, b }) => [a.name, a.dtype, b.dtype])).toEqual([['type', 'F16', 'BF16']]);
    expect(result.moved.map(({ a, b }) => [a.name, a.path, b.path])).toEqual([['moves', 'a.safetensors', 'b.safetensors']]);
    expect(result.identical).toBe(2);
    expect(result.undecided).toEqual([
      { path: 'a.safetensors', tensors: 1 },
      { path: 'b.safetensors', tensors: 1 },
    ]);
    // the layer that both have is read once
    expect(registry.requests.filter(({ path }) => path.includes(shared.digest))).toHaveLength(1);
  });

  test('two quantizations with tensors of the same names are told apart; a renamed file holds the same', async () => {
    const { registry, kit } = await setup();
    const g = new GgufBytes();
    const quantization = async (path: string, type: number, size: number) => {
      const file = Buffer.concat([g.header({ tensors: [{ name: 'w', shape: [32], type, offset: 0 }] }), Buffer.alloc(size)]);
      return { path, digest: await registry.addBlob('q', file), size: file.byteLength };
    };
    const [small, large] = [await quantization('q4.gguf', 2, 64), await quantization('q8.gguf', 8, 96)];
    await addFiles(registry, 'q', 'v1', [small, large]);
    await addFiles(registry, 'q', 'v2', [small, { ...large, path: 'q8-renamed.gguf' }]);
    await addFiles(registry, 'q', 'one', [large]);
    await addFiles(registry, 'q', 'renamed', [{ ...large, path: 'other.gguf' }]);
    const side = (tag: string) => ({ location: parseLocation(`${registry.host}/q:${tag}`), lookup: 'remote' as const });
    expect(await compare(kit, side('v1'), side('v1'))).toMatchObject({
      identical: 2,
      added: [],
      removed: [],
      changed: [],
      moved: [],
      undecided: [],
    });
    const renamed = await compare(kit, side('v1'), side('v2'));
    expect([renamed.identical, renamed.added.length, renamed.removed.length]).toEqual([1, 1, 1]);
    const one = await compare(kit, side('one'), side('renamed'));
    expect([one.identical, one.moved.length, one.undecided.length]).toEqual([1, 1, 0]);
  });
});
