import type { HeaderCursor } from './header-cursor.ts';

/** A value of a GGUF header; undefined where it is too long to be kept. */
export type GgufValue = number | bigint | boolean | string | readonly GgufValue[] | { readonly items: number } | undefined;

// ggml, docs/gguf.md, `gguf_metadata_value_type`
const UINT8 = 0;
const INT8 = 1;
const UINT16 = 2;
const INT16 = 3;
const UINT32 = 4;
const INT32 = 5;
const FLOAT32 = 6;
const BOOL = 7;
const STRING = 8;
const ARRAY = 9;
const UINT64 = 10;
const INT64 = 11;
const FLOAT64 = 12;

const SIZES: ReadonlyMap<number, number> = new Map([
  [UINT8, 1],
  [INT8, 1],
  [UINT16, 2],
  [INT16, 2],
  [UINT32, 4],
  [INT32, 4],
  [FLOAT32, 4],
  [BOOL, 1],
  [UINT64, 8],
  [INT64, 8],
  [FLOAT64, 8],
]);

/** Longer arrays are skipped, as Docker does: vocabularies. */
const MAX_ITEMS = 50;
const MAX_STRING = 1024 * 1024;
const MAX_ITEM_STRING = 4096;
const MAX_DEPTH = 4;

/** Reads values; `lengthBytes` is the width of counts and lengths: 4 in GGUF v1, else 8. */
export class GgufValues {
  readonly #cursor: HeaderCursor;
  readonly #lengthBytes: 4 | 8;

  constructor(cursor: HeaderCursor, lengthBytes: 4 | 8) {
    this.#cursor = cursor;
    this.#lengthBytes = lengthBytes;
  }

  /** A name. @throws KitError LAYER_INVALID beyond `max` bytes */
  async name(max: number, what: string): Promise<string> {
    const start = this.#cursor.position;
    const length = await this.#cursor.count(this.#lengthBytes, `the length of ${what}`);
    if (length > max) throw this.#cursor.invalid(`${what} has ${length} bytes, the limit is ${max}`, start);
    return await this.#cursor.text(length);
  }

  async value(): Promise<GgufValue> {
    return await this.#valueOf(await this.#cursor.u32(), 0, MAX_STRING);
  }

  async #valueOf(type: number, depth: number, maxString: number): Promise<GgufValue> {
    if (type === STRING) return await this.#string(maxString);
    if (type === ARRAY) return await this.#array(depth + 1);
    const size = SIZES.get(type);
    if (size === undefined) throw this.#cursor.invalid(`a value has the type ${type}, which there is none of`, this.#cursor.position - 4);
    return await this.#scalar(type, size);
  }

  async #scalar(type: number, size: number): Promise<number | bigint | boolean> {
    const bytes = await this.#cursor.bytes(size);
    if (this.#cursor.isBigEndian) bytes.reverse();
    switch (type) {
      case BOOL:
        return bytes[0] !== 0;
      case FLOAT32:
        return bytes.readFloatLE(0);
      case FLOAT64:
        return bytes.readDoubleLE(0);
      case UINT64:
        return exact(bytes.readBigUInt64LE(0));
      case INT64:
        return exact(bytes.readBigInt64LE(0));
      default:
        return type === INT8 || type === INT16 || type === INT32 ? bytes.readIntLE(0, size) : bytes.readUIntLE(0, size);
    }
  }

  async #string(max: number): Promise<string | undefined> {
    const length = await this.#cursor.count(this.#lengthBytes, 'the length of a text');
    if (length <= max) return await this.#cursor.text(length);
    this.#cursor.skip(length);
    return undefined;
  }

  async #array(depth: number): Promise<GgufValue> {
    const cursor = this.#cursor;
    if (depth > MAX_DEPTH) throw cursor.invalid(`arrays are nested more than ${MAX_DEPTH} deep`);
    const type = await cursor.u32();
    const start = cursor.position;
    const items = await cursor.count(this.#lengthBytes, 'the length of an array');
    const size = SIZES.get(type) ?? (type === STRING ? this.#lengthBytes : type === ARRAY ? 4 + this.#lengthBytes : undefined);
    if (size === undefined) throw cursor.invalid(`an array has the type ${type}, which there is none of`, start - 4);
    if (items * size > cursor.left)
      throw cursor.invalid(`an array of ${items} items is declared where the file has ${cursor.left} bytes left`, start);
    if (items <= MAX_ITEMS) {
      const values: GgufValue[] = [];
      for (let at = 0; at < items; at++) values.push(await this.#valueOf(type, depth, MAX_ITEM_STRING));
      return values;
    }
    if (type === STRING) await cursor.skipStrings(items, this.#lengthBytes);
    else if (type === ARRAY) for (let at = 0; at < items; at++) await this.#array(depth + 1);
    else cursor.skip(items * size);
    return { items };
  }
}

function exact(value: bigint): number | bigint {
  return value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value;
}
