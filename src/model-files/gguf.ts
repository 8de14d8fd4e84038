import { GGML_TYPES, LLAMA_FILE_TYPES } from './gguf-types.ts';
import { type GgufValue, GgufValues } from './gguf-value.ts';
import { HeaderCursor } from './header-cursor.ts';
import type { ModelFile, ModelTraits } from './model-file.ts';
import type { ReadAt } from './read-at.ts';
import { beyondLimit, invalidFile } from './refusal.ts';
import { checkTensorCount, elementsOf, MAX_NAME_BYTES, type Tensor } from './tensor.ts';

const MAX_PAIRS = 65_536;
const MAX_KEY_BYTES = 65_535;
/** GGML_MAX_DIMS is 4; some room. */
const MAX_DIMENSIONS = 8;
const DEFAULT_ALIGNMENT = 32;
/** Longer values have no place in a summary. */
const MAX_VALUE = 64 * 1024;

interface Placed extends Tensor {
  readonly offset: number;
  readonly at: number;
}

/**
 * The header of a GGUF file, versions 1 to 3, either byte order (ggml, docs/gguf.md): key-value pairs and where each tensor lies.
 * Vocabularies are skipped. @throws KitError LAYER_INVALID | LIMIT_EXCEEDED
 */
export async function readGguf(file: ReadAt): Promise<ModelFile> {
  const cursor = new HeaderCursor(file);
  if (file.size < 24 || (await cursor.bytes(4)).toString('latin1') !== 'GGUF') throw invalidFile(file.name, 0, 'this is no GGUF file');
  const version = await readVersion(cursor);
  const lengthBytes = version === 1 ? 4 : 8;
  const values = new GgufValues(cursor, lengthBytes);
  const tensorCount = await readCount(cursor, lengthBytes, 'tensors', lengthBytes + 16);
  checkTensorCount(file.name, cursor.position - lengthBytes, tensorCount);
  const pairCount = await readCount(cursor, lengthBytes, 'key-value pairs', lengthBytes + 5);
  if (pairCount > MAX_PAIRS) throw beyondLimit(file.name, cursor.position, `${pairCount} key-value pairs, the limit is ${MAX_PAIRS}`);
  const pairs = await readPairs(cursor, values, pairCount);
  const tensors = await readTensors(cursor, values, tensorCount, lengthBytes);
  const alignment = pairs.get('general.alignment') ?? DEFAULT_ALIGNMENT;
  if (typeof alignment !== 'number' || alignment < 1 || alignment > 2 ** 20 || !Number.isInteger(Math.log2(alignment)))
    throw cursor.invalid('general.alignment is no power of two');
  checkPlaces(file, tensors, Math.ceil(cursor.position / alignment) * alignment, alignment);
  return {
    path: file.name,
    size: file.size,
    format: 'gguf',
    formatVersion: String(version),
    description: `GGUF v${version}${cursor.isBigEndian ? ', big-endian' : ''}`,
    tensors: tensors.map(({ name, dtype, shape, parameters, bytes }) => ({ name, dtype, shape, parameters, bytes })),
    metadata: toText(pairs),
    traits: traitsOf(pairs),
  };
}

async function readVersion(cursor: HeaderCursor): Promise<number> {
  const version = await cursor.u32();
  if (version >= 1 && version <= 3) return version;
  // v3 in the other byte order: there was none before
  if (version === 0x03000000) {
    cursor.isBigEndian = true;
    return 3;
  }
  throw cursor.invalid(`GGUF version ${version} is not known`, 4);
}

async function readCount(cursor: HeaderCursor, lengthBytes: 4 | 8, what: string, least: number): Promise<number> {
  const start = cursor.position;
  const count = await cursor.count(lengthBytes, `the number of ${what}`);
  if (count * least > cursor.left)
    throw cursor.invalid(`${count} ${what} are declared where the file has ${cursor.left} bytes left`, start);
  return count;
}

async function readPairs(cursor: HeaderCursor, values: GgufValues, count: number): Promise<Map<string, GgufValue>> {
  const pairs = new Map<string, GgufValue>();
  for (let left = count; left > 0; left--) {
    const at = cursor.position;
    const key = await values.name(MAX_KEY_BYTES, 'a key');
    if (pairs.has(key)) throw cursor.invalid(`the key ${JSON.stringify(key)} comes twice`, at);
    pairs.set(key, await values.value());
  }
  return pairs;
}

async function readTensors(cursor: HeaderCursor, values: GgufValues, count: number, dimensionBytes: 4 | 8): Promise<Placed[]> {
  const names = new Set<string>();
  const tensors: Placed[] = [];
  for (let left = count; left > 0; left--) {
    const at = cursor.position;
    const name = await values.name(MAX_NAME_BYTES, "a tensor's name");
    const where = `tensor ${JSON.stringify(name)}`;
    if (names.has(name)) throw cursor.invalid(`${where} comes twice`, at);
    names.add(name);
    const dimensions = await cursor.u32();
    if (dimensions > MAX_DIMENSIONS) throw cursor.invalid(`${where} has ${dimensions} dimensions`, at);
    const shape: number[] = [];
    for (let i = 0; i < dimensions; i++) shape.push(await cursor.count(dimensionBytes, `a dimension of ${where}`));
    const code = await cursor.u32();
    const offset = await cursor.count(8, `the offset of ${where}`);
    const parameters = elementsOf(shape);
    if (parameters === undefined) throw cursor.invalid(`${where} has the shape [${shape.join(', ')}]`, at);
    const type = GGML_TYPES.get(code);
    // rows are stored in blocks
    if (type !== undefined && (shape[0] ?? 1) % type.block !== 0)
      throw cursor.invalid(`${where} has rows of ${shape[0]} elements, which ${type.name} does not divide`, at);
    const bytes = type && (parameters / type.block) * type.size;
    tensors.push({ name, dtype: type?.name ?? `type ${code}`, shape, parameters, bytes, offset, at });
  }
  return tensors;
}

function checkPlaces(file: ReadAt, tensors: readonly Placed[], dataStart: number, alignment: number): void {
  let end = 0;
  for (const { name, offset, bytes = 0, at } of tensors.toSorted((a, b) => a.offset - b.offset || (a.bytes ?? 0) - (b.bytes ?? 0))) {
    const where = `tensor ${JSON.stringify(name)}`;
    if (offset % alignment !== 0) throw invalidFile(file.name, at, `${where} is not aligned to ${alignment} bytes`);
    if (offset < end) throw invalidFile(file.name, at, `${where} overlaps another tensor`);
    if (dataStart + offset + bytes > file.size)
      throw invalidFile(file.name, at, `${where} ends at byte ${dataStart + offset + bytes} of a file of ${file.size} bytes`);
    end = offset + bytes;
  }
}

function toText(pairs: ReadonlyMap<string, GgufValue>): Record<string, string> {
  const metadata = Object.create(null) as Record<string, string>;
  for (const [key, value] of pairs) {
    const text = textOf(value);
    if (text !== undefined && text.length <= MAX_VALUE) metadata[key] = text;
  }
  return metadata;
}

function textOf(value: GgufValue): string | undefined {
  if (value === undefined) return undefined;
  if (typeof value !== 'object') return String(value);
  if (!('map' in value)) return undefined;
  const texts = value.map(textOf);
  return texts.includes(undefined) ? undefined : texts.join(', ');
}

function traitsOf(pairs: ReadonlyMap<string, GgufValue>): ModelTraits {
  const architecture = textAt(pairs, 'general.architecture');
  // an adapter or a projector says something else by these keys
  const own = (key: string): number | undefined => countAt(pairs.get(`${architecture ?? ''}.${key}`));
  const fileType = countAt(pairs.get('general.file_type'));
  const heads = own('attention.head_count');
  const width = own('embedding_length');
  const headLength = heads === undefined || heads === 0 || width === undefined ? undefined : Math.floor(width / heads);
  return {
    architecture,
    quantization: fileType === undefined ? undefined : LLAMA_FILE_TYPES.get(fileType),
    contextLength: own('context_length'),
    blocks: own('block_count'),
    embeddingLength: width,
    heads,
    keyValueHeads: own('attention.head_count_kv') ?? heads,
    keyLength: own('attention.key_length') ?? headLength,
    valueLength: own('attention.value_length') ?? headLength,
    vocabularySize: own('vocab_size') ?? lengthAt(pairs.get('tokenizer.ggml.tokens')),
    chatTemplate: textAt(pairs, 'tokenizer.chat_template'),
  };
}

function textAt(pairs: ReadonlyMap<string, GgufValue>, key: string): string | undefined {
  const value = pairs.get(key);
  return typeof value === 'string' && value !== '' ? value : undefined;
}

// some models give one number for each block: the largest counts
function countAt(value: GgufValue): number | undefined {
  if (typeof value === 'number') return Number.isSafeInteger(value) && value >= 0 ? value : undefined;
  if (typeof value !== 'object' || !('map' in value)) return undefined;
  const counts = value.map(countAt).filter((count) => count !== undefined);
  return counts.length === 0 ? undefined : Math.max(...counts);
}

function lengthAt(value: GgufValue): number | undefined {
  if (typeof value !== 'object') return undefined;
  return 'items' in value ? value.items : value.length;
}
