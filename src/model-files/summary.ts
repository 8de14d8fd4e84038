import { posix } from 'node:path';
import type { ModelFile, ModelTraits } from './model-file.ts';
import type { Tensor } from './tensor.ts';

/** All tensors of one type. */
export interface DtypeTotal {
  readonly dtype: string;
  readonly tensors: number;
  readonly parameters: number;
  readonly bytes: number;
}

/** An estimate, in bytes: what a program needs besides is not known here. */
export interface MemoryEstimate {
  /** Of all tensors as they are stored. */
  readonly weights: number;
  /** Keys and values of one sequence of full context, at 16 bits; undefined where the header does not tell. */
  readonly keyValueCache: number | undefined;
  readonly total: number;
  /** Of the tensors of one layer of the network, by number: what a program can place on its own. */
  readonly blocks: readonly { readonly block: number; readonly bytes: number }[];
  /** Of the tensors that belong to no numbered layer: embeddings, output. */
  readonly otherWeights: number;
}

export interface ModelSummary {
  /** Of the weights: `gguf`, `safetensors`, `onnx`; several where a model has them. */
  readonly formats: readonly string[];
  readonly architecture: string | undefined;
  readonly parameters: number;
  readonly tensors: number;
  readonly dtypes: readonly DtypeTotal[];
  /** As llama.cpp names it, or as config.json does; else the type of the tensors, `mixed` for several. */
  readonly quantization: string | undefined;
  readonly contextLength: number | undefined;
  readonly chatTemplate: string | undefined;
  readonly memory: MemoryEstimate;
  /** Files that names or an index say belong to the model, and that are not there. */
  readonly missing: readonly string[];
}

/** What the files say together. Weights come before configurations: they cannot be out of step with themselves. */
export function summarise(files: readonly ModelFile[]): ModelSummary {
  const weights = files.filter(({ tensors }) => tensors.length > 0);
  const traits = traitsOf(files);
  const tensors = weights.flatMap((file) => file.tensors);
  const dtypes = totalsOf(tensors);
  const bytes = sum(tensors.map((tensor) => tensor.bytes ?? 0));
  const keyValueCache = cacheBytes(traits);
  return {
    formats: [...new Set(weights.map(({ format }) => format))],
    architecture: traits.architecture,
    parameters: sum(tensors.map((tensor) => parametersOf(tensor, traits.packedBits))),
    tensors: tensors.length,
    dtypes,
    quantization: traits.quantization ?? (dtypes.length > 1 ? 'mixed' : dtypes[0]?.dtype),
    contextLength: traits.contextLength,
    chatTemplate: traits.chatTemplate,
    memory: { weights: bytes, keyValueCache, total: bytes + (keyValueCache ?? 0), ...blocksOf(tensors) },
    missing: missingFiles(files),
  };
}

const NEVER_MAIN = /(?:^|[-_.])(?:mmproj|lora|adapter)/i;
/** What kinds of file are asked, in this order. */
const RANK: Readonly<Record<ModelFile['format'], number>> = {
  gguf: 0,
  safetensors: 0,
  onnx: 0,
  config: 1,
  template: 2,
  tokenizer: 3,
  index: 4,
  pytorch: 4,
};

/** Where a file comes when it is asked: the model itself before projectors and adapters, what lies near the top before folders. */
function rank({ path, format, traits }: ModelFile): number {
  const isAside = NEVER_MAIN.test(posix.basename(path)) || traits.architecture === 'clip';
  return (isAside ? 100 : 0) + RANK[format] * 10 + Math.min(path.split('/').length, 9);
}

/** Of each trait what the first file says that has it. */
function traitsOf(files: readonly ModelFile[]): ModelTraits {
  const merged: Record<string, unknown> = {};
  for (const { traits } of files.toSorted((a, b) => rank(a) - rank(b))) {
    for (const [name, value] of Object.entries(traits)) if (value !== undefined) merged[name] ??= value;
  }
  return merged;
}

/** The file with weights that tells most of the model. */
export function firstWeights(files: readonly ModelFile[]): ModelFile | undefined {
  return files.filter(({ tensors }) => tensors.length > 0).toSorted((a, b) => rank(a) - rank(b) || (a.path < b.path ? -1 : 1))[0];
}

// GPTQ and AWQ pack weights into 32-bit integers; their scales and zero points are no weights
function parametersOf({ name, dtype, parameters }: Tensor, packedBits: number | undefined): number {
  if (packedBits === undefined) return parameters;
  if (/\.(?:scales|qzeros|g_idx)$/.test(name)) return 0;
  return name.endsWith('.qweight') && (dtype === 'I32' || dtype === 'U32') ? Math.round((parameters * 32) / packedBits) : parameters;
}

function totalsOf(tensors: readonly Tensor[]): DtypeTotal[] {
  const groups = Map.groupBy(tensors, ({ dtype }) => dtype);
  const totals = [...groups].map(([dtype, members]) => ({
    dtype,
    tensors: members.length,
    parameters: sum(members.map(({ parameters }) => parameters)),
    bytes: sum(members.map(({ bytes }) => bytes ?? 0)),
  }));
  return totals.toSorted((a, b) => b.bytes - a.bytes || (a.dtype < b.dtype ? -1 : 1));
}

/** Keys and values of every block, two bytes each. */
function cacheBytes({ blocks, keyValueHeads, keyLength, valueLength, contextLength }: ModelTraits): number | undefined {
  if (!blocks || !keyValueHeads || !keyLength || !valueLength || !contextLength) return undefined;
  const bytes = 2 * blocks * keyValueHeads * (keyLength + valueLength) * contextLength;
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

const BLOCK = /(?:^|\.)(?:layers|blk|h|blocks?|layer)\.(\d{1,5})\./;

function blocksOf(tensors: readonly Tensor[]): Pick<MemoryEstimate, 'blocks' | 'otherWeights'> {
  const blocks = new Map<number, number>();
  let otherWeights = 0;
  for (const { name, bytes = 0 } of tensors) {
    const number = BLOCK.exec(name)?.[1];
    if (number === undefined) otherWeights += bytes;
    else blocks.set(Number(number), (blocks.get(Number(number)) ?? 0) + bytes);
  }
  const sorted = [...blocks].toSorted(([a], [b]) => a - b).map(([block, bytes]) => ({ block, bytes }));
  return { blocks: sorted, otherWeights };
}

const SHARD = /^(.*-)(\d{5})-of-(\d{5})(\.(?:safetensors|gguf|bin))$/;
/** More shards than any model has: a name is not to be taken at its word. */
const MAX_SHARDS = 1000;

function missingFiles(files: readonly ModelFile[]): string[] {
  const present = new Set(files.map(({ path }) => path));
  const wanted = new Set<string>();
  for (const { path, shards } of files) {
    const [, prefix, , total, suffix] = SHARD.exec(path) ?? [];
    const count = Math.min(Number(total ?? 0), MAX_SHARDS);
    for (let number = 1; number <= count; number++) wanted.add(`${prefix}${String(number).padStart(5, '0')}-of-${total}${suffix}`);
    for (const shard of new Set(shards?.values())) wanted.add(posix.join(posix.dirname(path), shard));
  }
  return [...wanted].filter((path) => !present.has(path)).toSorted();
}

function sum(values: readonly number[]): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}
