import type { ModelFile } from './model-file.ts';
import type { ReadAt } from './read-at.ts';
import { readModelFile } from './read-model-file.ts';
import { firstWeights, summarise } from './summary.ts';

/** What a format that describes its model wants to know of the weights; what is not known is absent. */
export interface WeightFacts {
  readonly format: string | undefined;
  readonly formatVersion: string | undefined;
  /** By the name that the header has (`llama`), or config.json (`LlamaForCausalLM`). */
  readonly architecture: string | undefined;
  readonly parameterCount: number | undefined;
  /** `MOSTLY_Q4_K_M`; the type of the tensors where there is one only, else `mixed`. */
  readonly quantization: string | undefined;
  /** Long name: `bfloat16`; several with commas between, the one with most bytes first. */
  readonly precision: string | undefined;
  /** Tokens. */
  readonly contextSize: number | undefined;
  /** Key-value pairs of the first file with weights, as text. */
  readonly metadata: Readonly<Record<string, string>> | undefined;
}

const PRECISION: Readonly<Record<string, string>> = {
  F64: 'float64',
  F32: 'float32',
  F16: 'float16',
  BF16: 'bfloat16',
  F8_E4M3: 'float8_e4m3fn',
  F8_E5M2: 'float8_e5m2',
  I8: 'int8',
  U8: 'uint8',
  I4: 'int4',
};

/** The facts that the headers of a model's files give; files of other kinds count for nothing. @throws KitError LAYER_INVALID | LIMIT_EXCEEDED */
export async function readModelFacts(files: readonly ReadAt[]): Promise<WeightFacts> {
  const read: ModelFile[] = [];
  for (const file of files) {
    const found = await readModelFile(file);
    if (found !== undefined) read.push(found);
  }
  return factsOf(read);
}

function factsOf(files: readonly ModelFile[]): WeightFacts {
  const summary = summarise(files);
  const first = firstWeights(files);
  const precisions = summary.dtypes.map(({ dtype }) => PRECISION[dtype]).filter((name) => name !== undefined);
  const isSafetensors = first?.format === 'safetensors';
  return {
    format: first?.format,
    formatVersion: first?.formatVersion,
    architecture: summary.architecture,
    parameterCount: first === undefined ? undefined : summary.parameters,
    quantization: summary.quantization,
    // the types of a quantized GGUF are told by its quantization
    precision: isSafetensors && precisions.length > 0 ? precisions.join(',') : undefined,
    contextSize: summary.contextLength,
    metadata: isSafetensors ? { ...first.metadata, tensor_count: String(first.tensors.length) } : first?.metadata,
  };
}
