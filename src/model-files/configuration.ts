import { KitError } from '../errors.ts';
import type { ModelFile, ModelFileFormat, ModelTraits } from './model-file.ts';
import type { ReadAt } from './read-at.ts';

/** Larger configuration files are not read; an index of shards may be as large as a header. */
export const MAX_CONFIGURATION_BYTES = 4 * 1024 * 1024;
const MAX_INDEX_BYTES = 32 * 1024 * 1024;

type Fields = Readonly<Record<string, unknown>>;

/** Where tools look for the longest context, in the order of llama.cpp's converter, which Docker follows. */
const CONTEXT_FIELDS = ['max_position_embeddings', 'n_ctx', 'n_positions', 'max_length', 'max_sequence_length', 'model_max_length'];

/** `config.json` of transformers. @throws KitError LAYER_INVALID | LIMIT_EXCEEDED, as the others here */
export async function readConfig(file: ReadAt): Promise<ModelFile> {
  const whole = await readFields(file, MAX_CONFIGURATION_BYTES);
  // a model of several kinds keeps what concerns text below
  const text: Fields = { ...whole, ...fieldsIn(whole['text_config'] ?? whole['llm_config']) };
  const quantization = fieldsIn(whole['quantization_config']);
  const heads = count(text, 'num_attention_heads', 'n_head', 'n_heads');
  const width = count(text, 'hidden_size', 'n_embd', 'd_model');
  const headLength = count(text, 'head_dim') ?? (heads && width ? Math.floor(width / heads) : undefined);
  const [architecture] = Array.isArray(whole['architectures']) ? (whole['architectures'] as unknown[]) : [];
  const method = string(quantization, 'quant_method');
  const traits: ModelTraits = {
    architecture: typeof architecture === 'string' ? architecture : string(whole, 'model_type'),
    quantization: method,
    packedBits: method === 'gptq' || method === 'awq' ? (count(quantization, 'bits', 'w_bit') ?? 4) : undefined,
    contextLength: count(text, ...CONTEXT_FIELDS),
    blocks: count(text, 'num_hidden_layers', 'n_layer', 'n_layers'),
    embeddingLength: width,
    heads,
    keyValueHeads: count(text, 'num_key_value_heads') ?? heads,
    keyLength: headLength,
    valueLength: headLength,
    vocabularySize: count(text, 'vocab_size'),
  };
  return describe(file, 'config', 'configuration of transformers', traits);
}

/** `tokenizer_config.json`: of interest is the chat template. */
export async function readTokenizerConfig(file: ReadAt): Promise<ModelFile> {
  const fields = await readFields(file, MAX_CONFIGURATION_BYTES);
  return describe(file, 'tokenizer', 'configuration of a tokenizer', { chatTemplate: templateIn(fields['chat_template']) });
}

/** `chat_template.jinja`, or the same text in `chat_template.json`. */
export async function readChatTemplate(file: ReadAt): Promise<ModelFile> {
  const chatTemplate = file.name.endsWith('.json')
    ? templateIn((await readFields(file, MAX_CONFIGURATION_BYTES))['chat_template'])
    : await readText(file, MAX_CONFIGURATION_BYTES);
  return describe(file, 'template', 'chat template', { chatTemplate });
}

/** `model.safetensors.index.json`: which file each tensor is in. */
export async function readShardIndex(file: ReadAt): Promise<ModelFile> {
  const map = (await readFields(file, MAX_INDEX_BYTES))['weight_map'];
  const shards = new Map(Object.entries(fieldsIn(map)).filter((entry): entry is [string, string] => typeof entry[1] === 'string'));
  return { ...describe(file, 'index', 'index of shards', {}), shards };
}

function describe(file: ReadAt, format: ModelFileFormat, description: string, traits: ModelTraits): ModelFile {
  return { path: file.name, size: file.size, format, description, tensors: [], metadata: {}, traits };
}

async function readText(file: ReadAt, limit: number): Promise<string> {
  if (file.size > limit) throw new KitError('LIMIT_EXCEEDED', `${file.name}: ${file.size} bytes, the limit is ${limit}`);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(await file.read(0, file.size));
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new KitError('LAYER_INVALID', `${file.name}: the text is not UTF-8`, { cause: error });
  }
}

async function readFields(file: ReadAt, limit: number): Promise<Fields> {
  const text = await readText(file, limit);
  try {
    const value: unknown = JSON.parse(text);
    if (value !== null && typeof value === 'object' && !Array.isArray(value)) return value as Fields;
  } catch (error) {
    throw new KitError('LAYER_INVALID', `${file.name}: the file is no JSON`, { cause: error });
  }
  throw new KitError('LAYER_INVALID', `${file.name}: the file is no JSON object`);
}

function fieldsIn(value: unknown): Fields {
  return value !== null && typeof value === 'object' && !Array.isArray(value) ? (value as Fields) : {};
}

function own(fields: Fields, name: string): unknown {
  return Object.hasOwn(fields, name) ? fields[name] : undefined;
}

function string(fields: Fields, name: string): string | undefined {
  const value = own(fields, name);
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** The first of the fields that is a positive whole number; tokenizers write 10^30 for "no limit". */
function count(fields: Fields, ...names: readonly string[]): number | undefined {
  for (const name of names) {
    const value = own(fields, name);
    if (typeof value === 'number' && Number.isSafeInteger(value) && value > 0) return value;
  }
  return undefined;
}

// one template, or several by name
function templateIn(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  if (!Array.isArray(value)) return undefined;
  const named = value.map(fieldsIn);
  return string(named.find((one) => one['name'] === 'default') ?? named[0] ?? {}, 'template');
}
