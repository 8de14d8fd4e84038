import { HeaderCursor } from './header-cursor.ts';
import type { GraphValue, ModelFile } from './model-file.ts';
import { type Field, fieldsOf, varint } from './protobuf.ts';
import type { ReadAt } from './read-at.ts';
import { beyondLimit, invalidFile } from './refusal.ts';
import { checkTensorCount, elementsOf, MAX_DIMENSIONS, MAX_NAME_BYTES, type Tensor } from './tensor.ts';

/** Bits of an element by number, and what onnx.proto calls it (`TensorProto.DataType`). */
const TYPES: ReadonlyMap<number, readonly [name: string, bits: number | undefined]> = new Map([
  [1, ['FLOAT', 32]],
  [2, ['UINT8', 8]],
  [3, ['INT8', 8]],
  [4, ['UINT16', 16]],
  [5, ['INT16', 16]],
  [6, ['INT32', 32]],
  [7, ['INT64', 64]],
  [8, ['STRING', undefined]],
  [9, ['BOOL', 8]],
  [10, ['FLOAT16', 16]],
  [11, ['DOUBLE', 64]],
  [12, ['UINT32', 32]],
  [13, ['UINT64', 64]],
  [14, ['COMPLEX64', 64]],
  [15, ['COMPLEX128', 128]],
  [16, ['BFLOAT16', 16]],
  [17, ['FLOAT8E4M3FN', 8]],
  [18, ['FLOAT8E4M3FNUZ', 8]],
  [19, ['FLOAT8E5M2', 8]],
  [20, ['FLOAT8E5M2FNUZ', 8]],
  [21, ['UINT4', 4]],
  [22, ['INT4', 4]],
  [23, ['FLOAT4E2M1', 4]],
  [24, ['FLOAT8E8M0', 8]],
  [25, ['UINT2', 2]],
  [26, ['INT2', 2]],
  [27, ['FLOAT6E2M3', 6]],
  [28, ['FLOAT6E3M2', 6]],
]);
const MAX_TEXT = 64 * 1024;
const MAX_LIST = 10_000;

interface Parts {
  readonly tensors: Tensor[];
  readonly names: Set<string>;
  readonly inputs: GraphValue[];
  readonly outputs: GraphValue[];
  readonly metadata: Record<string, string>;
  readonly opsets: string[];
  hasGraph: boolean;
}

/**
 * The metadata of an ONNX model (onnx.proto, `ModelProto`): versions, opsets, inputs, outputs, and the initializers with name, type and
 * shape. Nodes, and the data of tensors, are skipped. @throws KitError LAYER_INVALID | LIMIT_EXCEEDED
 */
export async function readOnnx(file: ReadAt): Promise<ModelFile> {
  const cursor = new HeaderCursor(file);
  const metadata = Object.create(null) as Record<string, string>;
  const parts: Parts = { tensors: [], names: new Set(), inputs: [], outputs: [], metadata, opsets: [], hasGraph: false };
  for await (const field of fieldsOf(cursor, file.size)) await readModelField(cursor, field, parts, file);
  // any bytes may pass for a protobuf message, but not for one with a version and a graph
  const version = metadata['ir_version'];
  if (version === undefined || !parts.hasGraph) throw invalidFile(file.name, 0, 'this is no ONNX model: it has no version, or no graph');
  if (parts.opsets.length > 0) metadata['opset_import'] = parts.opsets.join(', ');
  const { tensors, inputs, outputs } = parts;
  // an initializer may be listed as an input with a default: it is none that has to be given
  const own = inputs.filter(({ name }) => !parts.names.has(name));
  const description = `ONNX, IR version ${version}${parts.opsets.length > 0 ? `, opset ${parts.opsets.join(', ')}` : ''}`;
  const common = { path: file.name, size: file.size, format: 'onnx', formatVersion: version, traits: {} } as const;
  return { ...common, description, tensors, metadata, inputs: own, outputs };
}

const MODEL_TEXTS: Readonly<Record<number, string>> = { 2: 'producer_name', 3: 'producer_version', 4: 'domain', 6: 'doc_string' };

async function readModelField(cursor: HeaderCursor, field: Field, parts: Parts, file: ReadAt): Promise<void> {
  const { number, end } = field;
  if (end === undefined) {
    if (number === 1) parts.metadata['ir_version'] = String(field.value);
    if (number === 5) parts.metadata['model_version'] = String(BigInt.asIntN(64, field.value));
    return;
  }
  const text = MODEL_TEXTS[number];
  if (text !== undefined) {
    const value = await textOf(cursor, end, MAX_TEXT);
    if (value) parts.metadata[text] = value;
  } else if (number === 7) {
    if (parts.hasGraph) throw cursor.invalid('a second graph');
    parts.hasGraph = true;
    for await (const inner of fieldsOf(cursor, end)) await readGraphField(cursor, inner, parts, file);
  } else if (number === 8) parts.opsets.push(await opset(cursor, end));
  else if (number === 14) await property(cursor, end, parts.metadata);
  if (parts.opsets.length > MAX_LIST) throw beyondLimit(file.name, cursor.position, `more than ${MAX_LIST} opsets`);
}

async function readGraphField(cursor: HeaderCursor, { number, end }: Field, parts: Parts, file: ReadAt): Promise<void> {
  if (end === undefined) return;
  if (number === 5) {
    const start = cursor.position;
    const tensor = await initializer(cursor, end);
    if (parts.names.has(tensor.name)) throw cursor.invalid(`tensor ${JSON.stringify(tensor.name)} comes twice`, start);
    parts.names.add(tensor.name);
    parts.tensors.push(tensor);
    checkTensorCount(file.name, start, parts.tensors.length);
  } else if (number === 11) parts.inputs.push(await valueInfo(cursor, end));
  else if (number === 12) parts.outputs.push(await valueInfo(cursor, end));
  if (parts.inputs.length > MAX_LIST * 50 || parts.outputs.length > MAX_LIST)
    throw beyondLimit(file.name, cursor.position, 'too many inputs or outputs');
}

async function opset(cursor: HeaderCursor, end: number): Promise<string> {
  let domain = '';
  let version = 0n;
  for await (const field of fieldsOf(cursor, end)) {
    if (field.number === 1 && field.end !== undefined) domain = (await textOf(cursor, field.end, MAX_NAME_BYTES)) ?? '';
    else if (field.number === 2) version = field.value;
  }
  return domain === '' ? String(version) : `${domain} ${version}`;
}

async function property(cursor: HeaderCursor, end: number, metadata: Record<string, string>): Promise<void> {
  const texts: (string | undefined)[] = [];
  for await (const field of fieldsOf(cursor, end)) {
    if ((field.number === 1 || field.number === 2) && field.end !== undefined)
      texts[field.number] = await textOf(cursor, field.end, field.number === 1 ? MAX_NAME_BYTES : MAX_TEXT);
  }
  const [, key, value] = texts;
  if (key !== undefined && value !== undefined) metadata[key] = value;
}

/** `TensorProto`, without its data. */
async function initializer(cursor: HeaderCursor, end: number): Promise<Tensor> {
  const start = cursor.position;
  const shape: number[] = [];
  let [name, code, raw]: [string, number, number | undefined] = ['', 0, undefined];
  for await (const field of fieldsOf(cursor, end)) {
    if (field.number === 1) await dimensions(cursor, field, shape);
    else if (field.number === 2) code = Number(field.value);
    else if (field.number === 8 && field.end !== undefined) name = await nameOf(cursor, field.end);
    else if (field.number === 9 && field.end !== undefined) raw = field.end - cursor.position;
  }
  const [dtype, bits] = TYPES.get(code) ?? [`type ${code}`, undefined];
  const where = `tensor ${JSON.stringify(name)}`;
  const parameters = elementsOf(shape);
  if (parameters === undefined) throw cursor.invalid(`${where} has the shape [${shape.join(', ')}]`, start);
  const bytes = bits === undefined ? undefined : Math.ceil((parameters * bits) / 8);
  if (raw !== undefined && bytes !== undefined && raw !== bytes)
    throw cursor.invalid(`${where} has ${raw} bytes, which ${dtype} [${shape.join(', ')}] does not fill`, start);
  return { name, dtype, shape, parameters, bytes };
}

async function dimensions(cursor: HeaderCursor, field: Field, shape: number[]): Promise<void> {
  const add = (value: bigint): void => {
    if (value > BigInt(Number.MAX_SAFE_INTEGER) || shape.length >= MAX_DIMENSIONS) throw cursor.invalid(`a dimension is ${value}`);
    shape.push(Number(value));
  };
  if (field.end === undefined) return add(field.value);
  // packed
  while (cursor.position < field.end) add(await varint(cursor));
}

/** `ValueInfoProto` of a tensor; other types have no shape. */
async function valueInfo(cursor: HeaderCursor, end: number): Promise<GraphValue> {
  const value: { name: string; dtype: string; shape: (number | string)[] } = { name: '', dtype: 'unknown', shape: [] };
  for await (const field of fieldsOf(cursor, end)) {
    if (field.end === undefined) continue;
    if (field.number === 1) value.name = await nameOf(cursor, field.end);
    if (field.number !== 2) continue;
    for await (const kind of fieldsOf(cursor, field.end))
      if (kind.number === 1 && kind.end !== undefined) await tensorType(cursor, kind.end, value);
  }
  return value;
}

/** `TypeProto.Tensor` */
async function tensorType(cursor: HeaderCursor, end: number, value: { dtype: string; shape: (number | string)[] }): Promise<void> {
  for await (const field of fieldsOf(cursor, end)) {
    if (field.number === 1) value.dtype = TYPES.get(Number(field.value))?.[0] ?? `type ${field.value}`;
    if (field.number !== 2 || field.end === undefined) continue;
    for await (const dimension of fieldsOf(cursor, field.end)) {
      if (dimension.number !== 1 || dimension.end === undefined) continue;
      if (value.shape.length >= MAX_DIMENSIONS) throw cursor.invalid('a value has too many dimensions');
      value.shape.push(await dimensionOf(cursor, dimension.end));
    }
  }
}

async function dimensionOf(cursor: HeaderCursor, end: number): Promise<number | string> {
  let size: number | string = '?';
  for await (const field of fieldsOf(cursor, end)) {
    // -1 is how some say that a size is open
    if (field.number === 1 && field.value <= BigInt(Number.MAX_SAFE_INTEGER)) size = Number(field.value);
    else if (field.number === 2 && field.end !== undefined) size = await nameOf(cursor, field.end);
  }
  return size;
}

async function nameOf(cursor: HeaderCursor, end: number): Promise<string> {
  const start = cursor.position;
  const name = await textOf(cursor, end, MAX_NAME_BYTES);
  if (name === undefined) throw cursor.invalid(`a name has ${end - start} bytes, the limit is ${MAX_NAME_BYTES}`, start);
  return name;
}

/** Undefined, and nothing read, where it is longer than `max` bytes. */
async function textOf(cursor: HeaderCursor, end: number, max: number): Promise<string | undefined> {
  const length = end - cursor.position;
  return length > max ? undefined : await cursor.text(length);
}
