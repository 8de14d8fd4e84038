import type { HeaderCursor } from './header-cursor.ts';

/** A field of a message; what it holds is read by the caller, or skipped. */
export interface Field {
  readonly number: number;
  /** Of a varint. */
  readonly value: bigint;
  /** Where the content of a length-delimited field ends; undefined for other wire types. */
  readonly end: number | undefined;
}

/**
 * The fields of the message that ends at `end`, front to back (protobuf wire format). What the caller leaves of a field is skipped.
 * @throws KitError LAYER_INVALID for groups, and for fields that go beyond their message
 */
export async function* fieldsOf(cursor: HeaderCursor, end: number): AsyncGenerator<Field, void, undefined> {
  while (cursor.position < end) {
    const start = cursor.position;
    const tag = await varint(cursor);
    const number = Number(tag >> 3n);
    const field = await open(cursor, number, Number(tag & 7n), start);
    const last = field.end ?? cursor.position;
    if (number < 1 || last > end) throw cursor.invalid('a protobuf field goes beyond its message', start);
    yield field;
    if (cursor.position > last) throw cursor.invalid('a protobuf field goes beyond its message', start);
    cursor.skip(last - cursor.position);
  }
}

async function open(cursor: HeaderCursor, number: number, wireType: number, start: number): Promise<Field> {
  switch (wireType) {
    case 0:
      return { number, value: await varint(cursor), end: undefined };
    case 1:
      cursor.skip(8);
      return { number, value: 0n, end: undefined };
    case 5:
      cursor.skip(4);
      return { number, value: 0n, end: undefined };
    case 2: {
      const length = await varint(cursor);
      if (length > BigInt(cursor.left)) {
        throw cursor.invalid(`a protobuf field of ${length} bytes is declared where the file has ${cursor.left} left`, start);
      }
      return { number, value: 0n, end: cursor.position + Number(length) };
    }
    default:
      throw cursor.invalid(`a protobuf field has the wire type ${wireType}`, start);
  }
}

export async function varint(cursor: HeaderCursor): Promise<bigint> {
  const start = cursor.position;
  let value = 0n;
  for (let shift = 0n; shift < 70n; shift += 7n) {
    const byte = await cursor.u8();
    value |= BigInt(byte & 0x7f) << shift;
    if (byte < 0x80) return BigInt.asUintN(64, value);
  }
  throw cursor.invalid('a protobuf number has more than ten bytes', start);
}
