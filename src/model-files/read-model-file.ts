import { posix } from 'node:path';
import { readChatTemplate, readConfig, readShardIndex, readTokenizerConfig } from './configuration.ts';
import { readGguf } from './gguf.ts';
import type { ModelFile } from './model-file.ts';
import { readOnnx } from './onnx.ts';
import { readPytorch } from './pytorch.ts';
import type { ReadAt } from './read-at.ts';
import { readSafetensors } from './safetensors.ts';

type Reader = (file: ReadAt) => Promise<ModelFile>;

const BY_NAME: Readonly<Record<string, Reader>> = {
  'config.json': readConfig,
  'tokenizer_config.json': readTokenizerConfig,
  'chat_template.jinja': readChatTemplate,
  'chat_template.json': readChatTemplate,
};
const BY_SUFFIX: Readonly<Record<string, Reader>> = {
  '.safetensors': readSafetensors,
  '.gguf': readGguf,
  '.mmproj': readGguf,
  '.onnx': readOnnx,
  '.bin': readPytorch,
  '.pt': readPytorch,
  '.pth': readPytorch,
  '.ckpt': readPytorch,
  '.pkl': readPytorch,
  '.jinja': readChatTemplate,
};

function readerOf(path: string): Reader | undefined {
  const name = posix.basename(path).toLowerCase();
  if (name.endsWith('.safetensors.index.json')) return readShardIndex;
  if (Object.hasOwn(BY_NAME, name)) return BY_NAME[name];
  const suffix = posix.extname(name);
  return Object.hasOwn(BY_SUFFIX, suffix) ? BY_SUFFIX[suffix] : undefined;
}

/** True for a file that says something of a model, by its name. */
export function isModelFile(path: string): boolean {
  return readerOf(path) !== undefined;
}

const WEIGHTS: readonly (Reader | undefined)[] = [readSafetensors, readGguf, readOnnx];

/** True for a file whose header lists tensors. */
export function isWeightsFile(path: string): boolean {
  return WEIGHTS.includes(readerOf(path));
}

/** Reads the header of a file, or what a configuration says; undefined for any other file. @throws KitError LAYER_INVALID | LIMIT_EXCEEDED */
export async function readModelFile(file: ReadAt): Promise<ModelFile | undefined> {
  return await readerOf(file.name)?.(file);
}
