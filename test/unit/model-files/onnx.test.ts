import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { KitError } from '../../../src/errors.ts';
import { readOnnx } from '../../../src/model-files/onnx.ts';
import { field, fileOf, OUTCOMES, outcomeOf, varint } from './build.ts';

const initializer = (...parts: readonly Buffer[]): Buffer => field(5, Buffer.concat(parts));
const weight = initializer(field(1, 2), field(1, 3), field(2, 1), field(8, 'w'), field(9, Buffer.alloc(24)));
const model = (...graph: readonly Buffer[]): Buffer => Buffer.concat([field(1, 10), field(7, Buffer.concat(graph))]);
const read = (bytes: Buffer) => readOnnx(fileOf('m.onnx', bytes));

test('dimensions one by one or packed, sizes that are open, other types', async () => {
  const packed = initializer(field(1, Buffer.concat([varint(4), varint(300)])), field(2, 77), field(8, 'p'));
  const shape = Buffer.concat([field(1, field(2, 'n')), field(1, field(1, -1)), field(1, field(1, 5)), field(1, Buffer.alloc(0))]);
  const input = field(11, Buffer.concat([field(1, 'x'), field(2, field(1, Buffer.concat([field(1, 10), field(2, shape)])))]));
  const found = await read(model(field(1, Buffer.alloc(100, 'a node')), weight, packed, input));
  expect(found.tensors).toEqual([
    { name: 'w', dtype: 'FLOAT', shape: [2, 3], parameters: 6, bytes: 24 },
    { name: 'p', dtype: 'type 77', shape: [4, 300], parameters: 1200, bytes: undefined },
  ]);
  expect(found.inputs).toEqual([{ name: 'x', dtype: 'FLOAT16', shape: ['n', '?', 5, '?'] }]);
});

test('the data of tensors is not read', async () => {
  const size = 400_000_000;
  const head = Buffer.concat([field(1, 1e8), field(2, 1), field(8, 'w'), varint((9 << 3) | 2), varint(size)]);
  const tensor = Buffer.concat([varint((5 << 3) | 2), varint(head.byteLength + size), head]);
  const graph = Buffer.concat([varint((7 << 3) | 2), varint(tensor.byteLength + size), tensor]);
  const bytes = Buffer.concat([field(1, 10), graph]);
  const file = fileOf('m.onnx', bytes, bytes.byteLength + size);
  expect((await readOnnx(file)).tensors[0]?.bytes).toBe(size);
  expect(file.reads).toEqual([[0, 256 * 1024]]);
});

describe('a file that lies is refused', () => {
  const cases: readonly (readonly [what: string, bytes: Buffer, message: RegExp])[] = [
    ['an empty file', Buffer.alloc(0), /this is no ONNX model/],
    ['no graph', field(1, 10), /this is no ONNX model/],
    ['two graphs', Buffer.concat([model(), field(7, '')]), /a second graph/],
    [
      'a field beyond the file',
      Buffer.concat([field(1, 10), varint((7 << 3) | 2), varint(2n ** 60n)]),
      /a protobuf field of 1152921504606846976 bytes is declared/,
    ],
    ['a field beyond its message', model(Buffer.concat([varint((5 << 3) | 2), varint(1)])), /beyond|declared/],
    ['a number that is cut off', Buffer.from([0x08, 0xff]), /bytes are declared where the file has 0 left/],
    ['a number without end', Buffer.concat([Buffer.from([0x08]), Buffer.alloc(20, 0xff)]), /more than ten bytes/],
    ['a group', Buffer.from([0x0b, 0x0c]), /wire type 3/],
    ['field 0', Buffer.from([0x00, 0x00]), /beyond its message/],
    ['a dimension of 2^60', model(initializer(field(1, 2n ** 60n), field(2, 1))), /a dimension is 1152921504606846976/],
    ['a negative dimension', model(initializer(field(1, -1), field(2, 1))), /a dimension is/],
    ['a product beyond 2^53', model(initializer(field(1, 2 ** 40), field(1, 2 ** 40), field(2, 1))), /has the shape/],
    [
      'data that the type does not fill',
      model(initializer(field(1, 2), field(2, 1), field(9, Buffer.alloc(7)))),
      /7 bytes, which FLOAT \[2\] does not fill/,
    ],
    ['a tensor twice', model(weight, weight), /tensor "w" comes twice/],
    ['a name that is not UTF-8', model(initializer(field(8, Buffer.from([0xff])))), /not UTF-8/],
    ['a name of 5 kB', model(initializer(field(8, 'n'.repeat(5000)))), /a name has 5000 bytes/],
    [
      'packed dimensions beyond their field',
      model(initializer(field(1, Buffer.from([0x80])), field(8, 'w'))),
      /beyond its message|dimension/,
    ],
  ];
  test.each(cases)('%s', async (_, bytes, message) => {
    const error = await read(bytes).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code: 'LAYER_INVALID', message: expect.stringMatching(message) as unknown });
    expect((error as KitError).message).toMatch(/^m\.onnx: .*\(at byte \d+\)$/);
  });
});

test('whatever the bytes are, it answers or refuses', async () => {
  const bytes = model(field(1, 'node'), weight, field(11, Buffer.concat([field(1, 'x'), field(2, field(1, field(1, 1)))])));
  const edit = fc.record({ at: fc.nat(bytes.byteLength - 1), byte: fc.nat(255) });
  await fc.assert(
    fc.asyncProperty(fc.array(edit, { minLength: 1, maxLength: 4 }), async (edits) => {
      const changed = Buffer.from(bytes);
      for (const { at, byte } of edits) changed[at] = byte;
      expect(OUTCOMES).toContain(await outcomeOf(read(changed)));
    }),
    { numRuns: 700 },
  );
});
