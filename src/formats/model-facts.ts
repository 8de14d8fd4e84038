import { posix } from 'node:path';
import type { Kitfile } from '../kitfile/types.ts';
import type { PackedLayer } from './types.ts';

/** What is known of a model's weights, from a Kitfile or from the headers of its files. Every format renders it in its own words. */
export interface ModelFacts {
  /** Format of the weights: `gguf`, `safetensors`, `dduf`, `onnx`. */
  readonly format?: string | undefined;
  /** Version of that format: `3` for GGUF v3. */
  readonly formatVersion?: string | undefined;
  /** Architecture by the name that the header or config.json has: `llama`. */
  readonly architecture?: string | undefined;
  readonly parameterCount?: number | undefined;
  /** As llama.cpp names it: `MOSTLY_Q4_K_M`. */
  readonly quantization?: string | undefined;
  /** Long name: `bfloat16`. */
  readonly precision?: string | undefined;
  /** Tokens. */
  readonly contextSize?: number | undefined;
  /** Key-value pairs of the header as text. */
  readonly metadata?: Readonly<Record<string, string>> | undefined;
}

const FORMAT_OF_SUFFIX: Readonly<Record<string, string>> = {
  '.gguf': 'gguf',
  '.safetensors': 'safetensors',
  '.dduf': 'dduf',
  '.onnx': 'onnx',
};

/** The format of a weights file by its name, where it is a format of its own. */
export function formatOfFile(path: string): string | undefined {
  return FORMAT_OF_SUFFIX[posix.extname(path).toLowerCase()];
}

/** The format of the weights: what the facts say, what the Kitfile says, or what the files of the model are called. */
export function weightsFormat(facts: ModelFacts | undefined, kitfile: Kitfile, layers: readonly PackedLayer[]): string | undefined {
  const model = layers.filter(({ role }) => role === 'model' || role === 'modelpart');
  return facts?.format ?? (kitfile.model?.format || model.flatMap(({ path }) => formatOfFile(path) ?? [])[0]);
}

const THOUSANDS = ['', 'K', 'M', 'B', 'T', 'Q'] as const;

/** 8030261248 as `8.03B`, with `digits` after the point. */
export function formatParameters(count: number, digits: number): string {
  const step = Math.min(THOUSANDS.length - 1, Math.floor(Math.log10(Math.max(count, 1)) / 3));
  return step === 0 ? String(count) : `${(count / 1000 ** step).toFixed(digits)}${THOUSANDS[step]}`;
}
