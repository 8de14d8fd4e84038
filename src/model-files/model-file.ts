import type { Tensor } from './tensor.ts';

export type ModelFileFormat = 'safetensors' | 'gguf' | 'onnx' | 'pytorch' | 'config' | 'tokenizer' | 'template' | 'index';

/** What a header or configuration says of the model as a whole; what it does not say is absent. */
export interface ModelTraits {
  /** As the file calls it: `llama`, `LlamaForCausalLM`. */
  readonly architecture?: string | undefined;
  /** `MOSTLY_Q4_K_M`; of a configuration its method: `awq`. */
  readonly quantization?: string | undefined;
  /** Bits of a weight that is packed into wider integers (GPTQ, AWQ). */
  readonly packedBits?: number | undefined;
  /** Tokens. */
  readonly contextLength?: number | undefined;
  /** Layers of the network. */
  readonly blocks?: number | undefined;
  readonly embeddingLength?: number | undefined;
  readonly heads?: number | undefined;
  readonly keyValueHeads?: number | undefined;
  /** Of one head: elements of a key, and of a value. */
  readonly keyLength?: number | undefined;
  readonly valueLength?: number | undefined;
  readonly vocabularySize?: number | undefined;
  /** Jinja. */
  readonly chatTemplate?: string | undefined;
}

/** An input or output of a graph. */
export interface GraphValue {
  readonly name: string;
  readonly dtype: string;
  /** Sizes, or the names of those that are left open. */
  readonly shape: readonly (number | string)[];
}

/** What one file of a model says of itself. */
export interface ModelFile {
  readonly path: string;
  readonly size: number;
  readonly format: ModelFileFormat;
  /** Of the format: `3` for GGUF v3. */
  readonly formatVersion?: string | undefined;
  /** In words: `GGUF v3, big-endian`. */
  readonly description: string;
  readonly tensors: readonly Tensor[];
  /** Key-value pairs as text; long ones are left out. */
  readonly metadata: Readonly<Record<string, string>>;
  readonly traits: ModelTraits;
  readonly inputs?: readonly GraphValue[] | undefined;
  readonly outputs?: readonly GraphValue[] | undefined;
  /** Of an index: names of the files that belong to the model, by tensor. */
  readonly shards?: ReadonlyMap<string, string> | undefined;
}
