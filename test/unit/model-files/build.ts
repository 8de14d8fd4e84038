import { isKitError } from '../../../src/errors.ts';
import type { ReadAt } from '../../../src/model-files/read-at.ts';

/** Bytes as a file, with a count of what was read of it. */
export interface CountedFile extends ReadAt {
  readonly reads: readonly (readonly [start: number, end: number])[];
}

/** A file of `size` bytes that begins with `bytes`; what follows is zero and costs nothing. */
export function fileOf(name: string, bytes: Uint8Array, size = bytes.byteLength): CountedFile {
  const reads: (readonly [number, number])[] = [];
  return {
    name,
    size,
    reads,
    async read(start, end) {
      if (start < 0 || end > size || start > end) throw new RangeError(`${start} to ${end} of ${size}`);
      reads.push([start, end]);
      const part = Buffer.alloc(end - start);
      part.set(bytes.subarray(Math.min(start, bytes.byteLength), Math.min(end, bytes.byteLength)));
      return await Promise.resolve(part);
    },
  };
}

/** The header of a safetensors file, and the bytes of data that its tensors need. */
export function safetensorsHeader(header: unknown): Buffer {
  return withLength(Buffer.from(typeof header === 'string' ? header : JSON.stringify(header)));
}

export function withLength(json: Uint8Array, declared = BigInt(json.byteLength)): Buffer {
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(declared);
  return Buffer.concat([length, json]);
}

export interface GgufTensor {
  readonly name: string | Buffer;
  readonly shape: readonly (number | bigint)[];
  readonly type: number;
  readonly offset: number | bigint;
}

export interface GgufHeader {
  readonly version?: number;
  readonly bigEndian?: boolean;
  readonly tensorCount?: bigint;
  readonly pairCount?: bigint;
  /** Key, and the value with its type in front. */
  readonly pairs?: readonly (readonly [key: string | Buffer, value: Buffer])[];
  readonly tensors?: readonly GgufTensor[];
}

/** Writes the integers of a GGUF header in its byte order and width. */
export class GgufBytes {
  readonly #big: boolean;
  readonly #narrow: boolean;

  constructor({ bigEndian = false, version = 3 }: Pick<GgufHeader, 'bigEndian' | 'version'> = {}) {
    this.#big = bigEndian;
    this.#narrow = version === 1;
  }

  u32(value: number): Buffer {
    const bytes = Buffer.alloc(4);
    if (this.#big) bytes.writeUInt32BE(value);
    else bytes.writeUInt32LE(value);
    return bytes;
  }

  u64(value: number | bigint): Buffer {
    const bytes = Buffer.alloc(8);
    if (this.#big) bytes.writeBigUInt64BE(BigInt(value));
    else bytes.writeBigUInt64LE(BigInt(value));
    return bytes;
  }

  /** A count or length: 32 bits wide in version 1. */
  count(value: number | bigint): Buffer {
    return this.#narrow ? this.u32(Number(value)) : this.u64(value);
  }

  text(value: string | Buffer): Buffer {
    const bytes = Buffer.from(value);
    return Buffer.concat([this.count(bytes.byteLength), bytes]);
  }

  textValue(value: string | Buffer): Buffer {
    return Buffer.concat([this.u32(8), this.text(value)]);
  }

  countValue(value: number): Buffer {
    return Buffer.concat([this.u32(4), this.u32(value)]);
  }

  array(type: number, items: readonly Buffer[], declared: number | bigint = items.length): Buffer {
    return Buffer.concat([this.u32(9), this.u32(type), this.count(declared), ...items]);
  }

  header({ version = 3, tensorCount, pairCount, pairs = [], tensors = [] }: GgufHeader): Buffer {
    return Buffer.concat([
      Buffer.from('GGUF'),
      this.u32(version),
      this.count(tensorCount ?? tensors.length),
      this.count(pairCount ?? pairs.length),
      ...pairs.flatMap(([key, value]) => [this.text(key), value]),
      ...tensors.flatMap(({ name, shape, type, offset }) => [
        this.text(name),
        this.u32(shape.length),
        ...shape.map((dimension) => this.count(dimension)),
        this.u32(type),
        this.u64(offset),
      ]),
    ]);
  }
}

/** A field of a protobuf message: a number, or bytes. */
export function field(number: number, value: number | bigint | Uint8Array | string): Buffer {
  if (typeof value === 'number' || typeof value === 'bigint') return Buffer.concat([varint(number << 3), varint(value)]);
  const bytes = Buffer.from(value);
  return Buffer.concat([varint((number << 3) | 2), varint(bytes.byteLength), bytes]);
}

export function varint(value: number | bigint): Buffer {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  for (; rest >= 0x80n; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
  return Buffer.from([...bytes, Number(rest)]);
}

/** What came of a file: `read`, or the code of the refusal; anything else that is thrown is a defect and is thrown on. */
export async function outcomeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return 'read';
  } catch (error) {
    if (!isKitError(error)) throw error;
    return error.code;
  }
}

export const OUTCOMES = ['read', 'LAYER_INVALID', 'LIMIT_EXCEEDED'];
