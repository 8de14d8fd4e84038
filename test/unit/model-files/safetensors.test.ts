import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { KitError } from '../../../src/errors.ts';
import { readSafetensors } from '../../../src/model-files/safetensors.ts';
import { fileOf, OUTCOMES, outcomeOf, safetensorsHeader, withLength } from './build.ts';

const tensor = (start: number, end: number, shape = [end - start], dtype = 'U8') => ({ dtype, shape, data_offsets: [start, end] });
const read = (header: Buffer, data = 0) => readSafetensors(fileOf('m.safetensors', header, header.byteLength + data));
const MANY = 2 ** 60;

describe('a header that is right', () => {
  test('blanks behind it, fields that are not known, a type that is not known', async () => {
    const text = '{"a":{"more":{"x":[1,-2.5e3,true,null]},"shape":[3],"dtype":"F99_NEW","data_offsets":[0,7]}}   ';
    const { tensors } = await read(safetensorsHeader(text), 7);
    expect(tensors).toEqual([{ name: 'a', dtype: 'F99_NEW', shape: [3], parameters: 3, bytes: 7 }]);
  });

  test('types of less than a byte, no dimension, no element', async () => {
    const header = { four: tensor(0, 2, [4], 'F4'), one: tensor(2, 6, [], 'F32'), none: tensor(6, 6, [0, 5], 'F64') };
    const { tensors } = await read(safetensorsHeader(header), 6);
    expect(tensors.map(({ parameters, bytes }) => [parameters, bytes])).toEqual([
      [4, 2],
      [1, 4],
      [0, 0],
    ]);
  });

  test('only the header is read, of a file of 140 GB', async () => {
    const header = safetensorsHeader({ w: tensor(0, 140e9) });
    const file = fileOf('m.safetensors', header, header.byteLength + 140e9);
    const { tensors } = await readSafetensors(file);
    expect(tensors[0]?.parameters).toBe(140e9);
    expect(file.reads).toEqual([
      [0, 8],
      [8, header.byteLength],
    ]);
  });

  test('names that objects have anyway are names', async () => {
    const { tensors, metadata } = await read(
      safetensorsHeader('{"__metadata__":{"__proto__":"x"},"__proto__":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}'),
      1,
    );
    expect(tensors.map(({ name }) => name)).toEqual(['__proto__']);
    expect(Object.keys(metadata)).toEqual(['__proto__']);
  });
});

describe('a header that lies is refused', () => {
  const cases: readonly (readonly [what: string, header: Buffer, data: number, message: RegExp])[] = [
    ['an empty file', Buffer.alloc(0), 0, /0 bytes are no safetensors file/],
    ['a length beyond the file', withLength(Buffer.from('{}'), 3n), 0, /a header of 3 bytes is declared where 2 follow \(at byte 0\)/],
    ['a length of 2^60', withLength(Buffer.from('{}'), 2n ** 60n), 0, /1152921504606846976 bytes is declared/],
    ['no JSON', safetensorsHeader('hello'), 0, /expected `\{` \(at byte 8\)/],
    ['a JSON that ends early', safetensorsHeader('{"a":'), 0, /at byte 13/],
    ['something behind', safetensorsHeader('{}x'), 0, /something follows the end \(at byte 10\)/],
    [
      'a name twice',
      safetensorsHeader('{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"\\u0061":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}'),
      0,
      /the name "a" comes twice/,
    ],
    ['a field twice', safetensorsHeader('{"a":{"dtype":"U8","dtype":"I8","shape":[0],"data_offsets":[0,0]}}'), 0, /"dtype" comes twice/],
    ['bytes that are not UTF-8', withLength(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a])), 0, /not UTF-8 \(at byte 10\)/],
    ['half a character', safetensorsHeader('{"\\ud800":1}'), 0, /escape that means nothing/],
    ['deep nesting', safetensorsHeader(`{"a":{"x":${'['.repeat(100_000)}`), 0, /nested more than 16 deep/],
    ['a shape of 2^60', safetensorsHeader(`{"a":{"dtype":"U8","shape":[${BigInt(MANY)}],"data_offsets":[0,1]}}`), 1, /no whole number/],
    ['a product beyond 2^53', safetensorsHeader({ a: tensor(0, 1, [2 ** 40, 2 ** 40]) }), 1, /does not fill/],
    ['a negative dimension', safetensorsHeader('{"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}}'), 1, /no whole number/],
    ['half a dimension', safetensorsHeader('{"a":{"dtype":"U8","shape":[1.5],"data_offsets":[0,1]}}'), 1, /no whole number/],
    ['a power of ten', safetensorsHeader('{"a":{"dtype":"U8","shape":[1e3],"data_offsets":[0,1]}}'), 1, /no whole number/],
    [
      'too many dimensions',
      safetensorsHeader({
        a: tensor(
          0,
          1,
          Array.from({ length: 65 }, () => 1),
        ),
      }),
      1,
      /more than 64/,
    ],
    ['three offsets', safetensorsHeader({ a: { dtype: 'U8', shape: [1], data_offsets: [0, 1, 2] } }), 1, /more than 2/],
    ['no offsets', safetensorsHeader({ a: { dtype: 'U8', shape: [1] } }), 1, /lacks dtype, shape or data_offsets/],
    ['an end before the start', safetensorsHeader({ a: tensor(4, 0, [0]) }), 4, /begins at 4 and ends at 0/],
    ['a size that the type does not have', safetensorsHeader({ a: tensor(0, 4, [4], 'F32') }), 4, /4 bytes, which F32 \[4\] does not fill/],
    ['data beyond the file', safetensorsHeader({ a: tensor(0, 9) }), 8, /ends at 9 of 8 bytes/],
    ['an overlap', safetensorsHeader({ a: tensor(0, 5), b: tensor(4, 8) }), 8, /tensor "b" overlaps/],
    ['a hole', safetensorsHeader({ a: tensor(0, 4), b: tensor(5, 8) }), 8, /1 bytes before tensor "b"/],
    ['data that belongs to nothing', safetensorsHeader({ a: tensor(0, 4) }), 8, /4 bytes belong to no tensor/],
    ['a dtype with an escape sequence', safetensorsHeader({ a: tensor(0, 1, [1], '\u001b[31m') }), 1, /dtype that is none/],
    ['a long name', safetensorsHeader({ ['n'.repeat(5000)]: tensor(0, 1) }), 1, /name has more than 4096 bytes/],
    [
      'too many members',
      safetensorsHeader(`{"__metadata__":{${Array.from({ length: 600_001 }, (_, at) => `"${at}":""`).join(',')}}}`),
      0,
      /more than 600000 members/,
    ],
    ['values without end that nobody asked for', safetensorsHeader(`{"a":{"x":[${'1,'.repeat(600_001)}1]}}`), 0, /more than 600000 values/],
    ['metadata that is no text', safetensorsHeader({ __metadata__: { a: 1 } }), 0, /expected `"`/],
  ];
  test.each(cases)('%s', async (_, header, data, message) => {
    const error = await read(header, data).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(KitError);
    expect(error).toMatchObject({ code: 'LAYER_INVALID', message: expect.stringMatching(message) as unknown });
    expect((error as KitError).message).toMatch(/^m\.safetensors: .*\(at byte \d+\)$/);
  });

  test('a header of 200 MB is not read', async () => {
    const header = withLength(Buffer.alloc(0), 200_000_000n);
    const file = fileOf('m.safetensors', header, 400_000_000);
    await expect(readSafetensors(file)).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' });
    expect(file.reads).toEqual([[0, 8]]);
  });
});

test('whatever the bytes are, it answers or refuses', async () => {
  const header = Buffer.from(JSON.stringify({ __metadata__: { a: 'b' }, x: tensor(0, 4, [1], 'F32'), y: tensor(4, 8) }));
  const edit = fc.record({ at: fc.nat(header.byteLength - 1), byte: fc.nat(255) });
  await fc.assert(
    fc.asyncProperty(fc.array(edit, { minLength: 1, maxLength: 4 }), fc.nat(16), async (edits, data) => {
      const bytes = Buffer.from(header);
      for (const { at, byte } of edits) bytes[at] = byte;
      expect(OUTCOMES).toContain(await outcomeOf(readSafetensors(fileOf('m.safetensors', withLength(bytes), 8 + bytes.byteLength + data))));
    }),
    { numRuns: 500 },
  );
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (bytes) => {
      expect(OUTCOMES).toContain(await outcomeOf(readSafetensors(fileOf('m.safetensors', bytes))));
      expect(OUTCOMES).toContain(await outcomeOf(readSafetensors(fileOf('m.safetensors', withLength(bytes)))));
    }),
    { numRuns: 300 },
  );
});

test('tensors that are written are read', async () => {
  const names = fc.uniqueArray(fc.string({ minLength: 1, unit: 'grapheme' }), { minLength: 1, maxLength: 8 });
  await fc.assert(
    fc.asyncProperty(names, fc.array(fc.nat(20), { maxLength: 3 }), async (list, shape) => {
      const size = shape.reduce((product, dimension) => product * dimension, 1) * 2;
      const own = list.filter((name) => name !== '__metadata__');
      const entries = own.map((name, at) => [name, tensor(at * size, (at + 1) * size, shape, 'BF16')] as const);
      const text = `{${entries.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join(',')}}`;
      const { tensors } = await read(safetensorsHeader(text), own.length * size);
      expect(tensors.map(({ name }) => name)).toEqual(own);
      expect(tensors.every((found) => found.bytes === size && found.parameters * 2 === size)).toBe(true);
    }),
    { numRuns: 200 },
  );
});
