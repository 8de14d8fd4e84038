import { JsonScanner } from './json-scanner.ts';
import type { ModelFile } from './model-file.ts';
import { MAX_HEADER_BYTES, type ReadAt } from './read-at.ts';
import { beyondLimit, invalidFile } from './refusal.ts';
import { checkTensorCount, elementsOf, MAX_DIMENSIONS, MAX_NAME_BYTES, type Tensor } from './tensor.ts';

/** Bits of an element (safetensors 0.7, `Dtype`). */
const BITS: Readonly<Record<string, number>> = {
  BOOL: 8,
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
  U8: 8,
  I8: 8,
  F8_E5M2: 8,
  F8_E4M3: 8,
  F8_E8M0: 8,
  F8_E4M3FNUZ: 8,
  F8_E5M2FNUZ: 8,
  I16: 16,
  U16: 16,
  F16: 16,
  BF16: 16,
  I32: 32,
  U32: 32,
  F32: 32,
  C64: 64,
  F64: 64,
  I64: 64,
  U64: 64,
};
const DTYPE = /^[A-Z][A-Z0-9_]{0,31}$/;
/** A value of `__metadata__` beyond this is left out: trainers put whole logs there. */
const MAX_VALUE = 64 * 1024;
const LENGTH_BYTES = 8;

interface Entry extends Tensor {
  readonly start: number;
  readonly end: number;
  /** Of its name, in the file. */
  readonly at: number;
}

/**
 * The header of a safetensors file: eight bytes of length, then JSON. As strict as the library: offsets leave no hole, do not overlap
 * and end where the file ends. @throws KitError LAYER_INVALID | LIMIT_EXCEEDED
 */
export async function readSafetensors(file: ReadAt): Promise<ModelFile> {
  if (file.size < LENGTH_BYTES) throw invalidFile(file.name, 0, `${file.size} bytes are no safetensors file`);
  const prefix = await file.read(0, LENGTH_BYTES);
  const declared = Buffer.from(prefix.buffer, prefix.byteOffset, LENGTH_BYTES).readBigUInt64LE(0);
  const rest = file.size - LENGTH_BYTES;
  if (declared > BigInt(rest)) throw invalidFile(file.name, 0, `a header of ${declared} bytes is declared where ${rest} follow`);
  const length = Number(declared);
  if (length > MAX_HEADER_BYTES) throw beyondLimit(file.name, 0, `a header of ${length} bytes, the limit is ${MAX_HEADER_BYTES}`);
  const bytes = await file.read(LENGTH_BYTES, LENGTH_BYTES + length);
  const header = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const { entries, metadata } = scanHeader(file.name, header);
  checkLayout(file.name, entries, LENGTH_BYTES + length, rest - length);
  return {
    path: file.name,
    size: file.size,
    format: 'safetensors',
    description: 'safetensors',
    tensors: entries.map(({ name, dtype, shape, parameters, bytes: size }) => ({ name, dtype, shape, parameters, bytes: size })),
    metadata,
    traits: {},
  };
}

function scanHeader(name: string, header: Buffer): { entries: Entry[]; metadata: Record<string, string> } {
  const scanner = new JsonScanner(header, (offset, why) => invalidFile(name, LENGTH_BYTES + offset, `the safetensors header: ${why}`));
  const entries: Entry[] = [];
  // without a prototype: any name is just a name
  const metadata = Object.create(null) as Record<string, string>;
  scanner.object((key, offset) => {
    if (key === '__metadata__') {
      scanner.object((field) => {
        const value = scanner.string();
        if (value.length <= MAX_VALUE) metadata[field] = value;
      });
      return;
    }
    if (Buffer.byteLength(key) > MAX_NAME_BYTES) throw scanner.fail(`a tensor's name has more than ${MAX_NAME_BYTES} bytes`, offset);
    entries.push(scanTensor(scanner, key, offset));
    checkTensorCount(name, LENGTH_BYTES + offset, entries.length);
  });
  scanner.end();
  return { entries, metadata };
}

function scanTensor(scanner: JsonScanner, name: string, offset: number): Entry {
  let dtype: string | undefined;
  let shape: number[] | undefined;
  let offsets: number[] | undefined;
  scanner.object((field) => {
    if (field === 'dtype') dtype = scanner.string();
    else if (field === 'shape') shape = counts(scanner, 'a dimension', MAX_DIMENSIONS);
    else if (field === 'data_offsets') offsets = counts(scanner, 'an offset', 2);
    else scanner.skip();
  });
  const [start, end] = offsets ?? [];
  const where = `tensor ${JSON.stringify(name)}`;
  if (dtype === undefined || shape === undefined || start === undefined || end === undefined)
    throw scanner.fail(`${where} lacks dtype, shape or data_offsets`, offset);
  if (!DTYPE.test(dtype)) throw scanner.fail(`${where} has a dtype that is none`, offset);
  if (start > end) throw scanner.fail(`${where} begins at ${start} and ends at ${end}`, offset);
  const parameters = elementsOf(shape);
  const bits = Object.hasOwn(BITS, dtype) ? BITS[dtype] : undefined;
  // 2^53 elements of four bits are more than any file has
  if (parameters === undefined || (bits !== undefined && parameters * bits !== (end - start) * 8))
    throw scanner.fail(`${where} has ${end - start} bytes, which ${dtype} [${shape.join(', ')}] does not fill`, offset);
  return { name, dtype, shape, parameters, bytes: end - start, start, end, at: LENGTH_BYTES + offset };
}

function counts(scanner: JsonScanner, what: string, max: number): number[] {
  const values: number[] = [];
  scanner.array(() => {
    values.push(scanner.count(what));
    if (values.length > max) throw scanner.fail(`more than ${max} numbers`);
  });
  return values;
}

function checkLayout(name: string, entries: readonly Entry[], dataStart: number, dataSize: number): void {
  let position = 0;
  for (const entry of entries.toSorted((a, b) => a.start - b.start || a.end - b.end)) {
    const where = `tensor ${JSON.stringify(entry.name)}`;
    if (entry.end > dataSize) throw invalidFile(name, entry.at, `${where} ends at ${entry.end} of ${dataSize} bytes of data`);
    if (entry.start < position) throw invalidFile(name, entry.at, `${where} overlaps another tensor`);
    if (entry.start > position) throw invalidFile(name, entry.at, `${entry.start - position} bytes before ${where} belong to no tensor`);
    position = entry.end;
  }
  if (position !== dataSize) throw invalidFile(name, dataStart + position, `${dataSize - position} bytes belong to no tensor`);
}
