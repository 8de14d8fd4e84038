import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { KitError } from '../../../src/errors.ts';
import { readGguf } from '../../../src/model-files/gguf.ts';
import { fileOf, GgufBytes, OUTCOMES, outcomeOf, type GgufHeader, type GgufTensor } from './build.ts';

const tensor = (name: string, offset: number | bigint, shape: readonly (number | bigint)[] = [8], type = 0): GgufTensor => ({
  name,
  shape,
  type,
  offset,
});
const read = (header: GgufHeader, data = 4096) => {
  const bytes = new GgufBytes(header).header(header);
  return readGguf(fileOf('m.gguf', bytes, bytes.byteLength + data));
};
const g = new GgufBytes();
const BIG = 2n ** 60n;

describe('versions and byte orders', () => {
  test.each([
    [1, false],
    [2, false],
    [3, false],
    [3, true],
  ] as const)('version %i, big-endian %s', async (version, bigEndian) => {
    const b = new GgufBytes({ version, bigEndian });
    const found = await read({
      version,
      bigEndian,
      pairs: [
        ['general.architecture', b.textValue('mamba')],
        ['mamba.block_count', b.countValue(7)],
        ['tokenizer.ggml.tokens', b.array(8, Array.from<Buffer>({ length: 60 }).fill(b.text('t')))],
      ],
      tensors: [tensor('a', 0, [32, 2], 2), tensor('b', 64, [4])],
    });
    expect(found.tensors).toEqual([
      { name: 'a', dtype: 'Q4_0', shape: [32, 2], parameters: 64, bytes: 36 },
      { name: 'b', dtype: 'F32', shape: [4], parameters: 4, bytes: 16 },
    ]);
    expect(found.traits).toMatchObject({ architecture: 'mamba', blocks: 7, vocabularySize: 60 });
    expect(found.formatVersion).toBe(String(version));
  });

  test('a type that is not known, no tensors, one number for each block', async () => {
    const found = await read({ tensors: [tensor('a', 0, [7], 99)] });
    expect(found.tensors).toEqual([{ name: 'a', dtype: 'type 99', shape: [7], parameters: 7, bytes: undefined }]);
    const perBlock = g.array(4, [g.u32(0), g.u32(8), g.u32(4)]);
    const pairs = [
      ['general.architecture', g.textValue('l')],
      ['l.attention.head_count_kv', perBlock],
    ] as const;
    expect((await read({ pairs }, 0)).traits.keyValueHeads).toBe(8);
  });

  test('long values are skipped: the vocabulary, and a text of two megabytes', async () => {
    const words = Array.from<Buffer>({ length: 200_000 }).fill(g.text('a word of a vocabulary'));
    const header = g.header({
      pairs: [
        ['tokenizer.ggml.tokens', g.array(8, words)],
        ['tokenizer.ggml.scores', g.array(6, [Buffer.alloc(4 * 200_000)], 200_000)],
        ['tokenizer.huggingface.json', g.textValue('x'.repeat(2_000_000))],
        ['general.name', g.textValue('name')],
      ],
      tensors: [tensor('a', 0)],
    });
    const file = fileOf('m.gguf', header, 140e9);
    const found = await readGguf(file);
    expect({ ...found.metadata }).toEqual({ 'general.name': 'name' });
    const bytes = file.reads.reduce((sum, [start, end]) => sum + end - start, 0);
    expect(file.reads.length).toBeLessThan(8);
    expect(bytes).toBeLessThan(header.byteLength + 4 * 1024 * 1024);
    expect(Math.max(...file.reads.map(([start, end]) => end - start))).toBeLessThanOrEqual(4 * 1024 * 1024);
  });
});

const pair = (value: Buffer, key: string | Buffer = 'k'): GgufHeader => ({ pairs: [[key, value]] });

describe('a header that lies is refused', () => {
  const cases: readonly (readonly [what: string, header: GgufHeader | Buffer, message: RegExp])[] = [
    ['an empty file', Buffer.alloc(0), /this is no GGUF file/],
    ['another file', Buffer.alloc(64, 'x'), /this is no GGUF file/],
    ['version 9', { version: 9 }, /version 9 is not known \(at byte 4\)/],
    ['2^60 tensors', { tensorCount: BIG }, /the number of tensors is 1152921504606846976 \(at byte 8\)/],
    ['2^40 tensors', { tensorCount: 2n ** 40n }, /1099511627776 tensors are declared where the file has/],
    ['2^60 pairs', { pairCount: BIG }, /the number of key-value pairs is 1152921504606846976 \(at byte 16\)/],
    ['2^40 pairs', { pairCount: 2n ** 40n }, /1099511627776 key-value pairs are declared/],
    [
      'a key of 2^60 bytes',
      Buffer.concat([g.header({ pairCount: 1n }), g.u64(BIG), Buffer.alloc(64)]),
      /the length of a key is 1152921504606846976/,
    ],
    ['a key of 100 kB', pair(g.countValue(1), 'k'.repeat(100_000)), /a key has 100000 bytes/],
    [
      'a key twice',
      {
        pairs: [
          ['k', g.countValue(1)],
          ['k', g.countValue(2)],
        ],
      },
      /the key "k" comes twice/,
    ],
    ['a key that is not UTF-8', pair(g.countValue(1), Buffer.from([0xff])), /not UTF-8 \(at byte 32\)/],
    ['a value that is not UTF-8', pair(g.textValue(Buffer.from([0xc3, 0x28]))), /not UTF-8/],
    ['a value of no type', pair(g.u32(13)), /type 13, which there is none of/],
    ['a text beyond the file', pair(Buffer.concat([g.u32(8), g.u64(2 ** 40)])), /1099511627776 bytes are declared where/],
    ['an array of 2^60', pair(g.array(4, [], BIG)), /the length of an array is 1152921504606846976/],
    ['an array beyond the file', pair(g.array(0, [], 2 ** 40)), /an array of 1099511627776 items is declared/],
    ['an array of no type', pair(g.array(77, [])), /array has the type 77/],
    [
      'an array of strings beyond the file',
      pair(g.array(8, Array.from<Buffer>({ length: 60 }).fill(g.u64(2 ** 52)))),
      /bytes are declared where/,
    ],
    [
      'deep nesting',
      pair(Buffer.concat([g.u32(9), ...Array.from<Buffer>({ length: 9 }).fill(Buffer.concat([g.u32(9), g.u64(1)]))])),
      /nested more than 4 deep/,
    ],
    ['an odd alignment', { ...pair(g.countValue(3), 'general.alignment'), tensors: [tensor('a', 0)] }, /no power of two/],
    ['no alignment', pair(g.countValue(0), 'general.alignment'), /no power of two/],
    ['a tensor twice', { tensors: [tensor('a', 0), tensor('a', 32)] }, /tensor "a" comes twice/],
    ['a tensor name of 5 kB', { tensors: [tensor('n'.repeat(5000), 0)] }, /a tensor's name has 5000 bytes/],
    [
      'nine dimensions',
      {
        tensors: [
          tensor(
            'a',
            0,
            Array.from({ length: 9 }, () => 1),
          ),
        ],
      },
      /9 dimensions/,
    ],
    ['a dimension of 2^60', { tensors: [tensor('a', 0, [BIG])] }, /a dimension of tensor "a" is 1152921504606846976/],
    ['a product beyond 2^53', { tensors: [tensor('a', 0, [2 ** 30, 2 ** 30])] }, /has the shape \[1073741824, 1073741824\]/],
    ['rows that are no blocks', { tensors: [tensor('a', 0, [31], 2)] }, /rows of 31 elements, which Q4_0 does not divide/],
    ['an offset that is not aligned', { tensors: [tensor('a', 4)] }, /not aligned to 32/],
    ['an overlap', { tensors: [tensor('a', 0, [32]), tensor('b', 96, [8])] }, /tensor "b" overlaps/],
    ['data beyond the file', { tensors: [tensor('a', 0, [2 ** 20])] }, /ends at byte \d+ of a file of \d+ bytes/],
    ['an offset of 2^60', { tensors: [tensor('a', BIG)] }, /the offset of tensor "a" is 1152921504606846976/],
  ];
  test.each(cases)('%s', async (_, header, message) => {
    const error = await (Buffer.isBuffer(header) ? readGguf(fileOf('m.gguf', header)) : read(header)).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code: 'LAYER_INVALID', message: expect.stringMatching(message) as unknown });
    expect((error as KitError).message).toMatch(/^m\.gguf: .*\(at byte \d+\)$/);
  });

  test('more tensors than there can be', async () => {
    const header = g.header({ tensorCount: 600_000n });
    await expect(readGguf(fileOf('m.gguf', header, 140e9))).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' });
  });

  test('a header without end is left at 100 MB', async () => {
    // zeros: each text of the array is empty
    const header = Buffer.concat([g.header({ pairCount: 1n }), g.text('k'), g.array(8, [], 2 ** 34)]);
    const file = fileOf('m.gguf', header, 140e9);
    await expect(readGguf(file)).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' });
    expect(file.reads.reduce((sum, [start, end]) => sum + end - start, 0)).toBeLessThan(110_000_000);
  });
});

test('whatever the bytes are, it answers or refuses', async () => {
  const header = g.header({
    pairs: [
      ['general.architecture', g.textValue('l')],
      ['a', g.array(9, [Buffer.concat([g.u32(8), g.u64(1), g.text('x')])])],
      ['b', Buffer.concat([g.u32(12), Buffer.alloc(8)])],
    ],
    tensors: [tensor('x', 0, [4, 2]), tensor('y', 32, [8])],
  });
  const edit = fc.record({ at: fc.integer({ min: 4, max: header.byteLength - 1 }), byte: fc.nat(255) });
  await fc.assert(
    fc.asyncProperty(fc.array(edit, { minLength: 1, maxLength: 4 }), fc.nat(200), async (edits, data) => {
      const bytes = Buffer.from(header);
      for (const { at, byte } of edits) bytes[at] = byte;
      expect(OUTCOMES).toContain(await outcomeOf(readGguf(fileOf('m.gguf', bytes, bytes.byteLength + data))));
    }),
    { numRuns: 700 },
  );
});
