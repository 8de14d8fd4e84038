/** What a file is taken for by its name, in the order in which kit asks. */
export type FileKind = 'model' | 'metadata' | 'docs' | 'dataset' | 'unknown';

// the lists of `kit init`
const WEIGHTS = [
  '.safetensors .pkl .joblib',
  '.bin .pth .pt .mar .pt2 .ptl',
  '.pb .ckpt .tflite .tfrecords',
  '.npy .npz',
  '.keras .h5 .caffemodel .pmml .coreml',
  '.gguf .ggml .ggmf .llamafile .onnx',
];
const SUFFIXES: Readonly<Record<Exclude<FileKind, 'unknown'>, readonly string[]>> = {
  model: WEIGHTS.flatMap((group) => group.split(' ')),
  metadata: ['.json', '.yaml', '.xml', '.txt'],
  docs: ['.md', '.adoc', '.html', '.pdf'],
  dataset: ['.tar', '.zip', '.parquet', '.csv'],
};

export function fileKind(name: string): FileKind {
  for (const kind of ['model', 'metadata', 'docs', 'dataset'] as const) {
    if (SUFFIXES[kind].some((suffix) => name.endsWith(suffix))) return kind;
  }
  return 'unknown';
}

/** `readme*` and `license*`, in any case: docs, whatever their suffix. */
export function isReadmeName(name: string): boolean {
  return name.toLowerCase().startsWith('readme');
}

export function isLicenseName(name: string): boolean {
  return name.toLowerCase().startsWith('license');
}

const PROMPTS: ReadonlySet<string> = new Set(['agents.md', 'skill.md', 'claude.md']);

/** What coding agents read, and names with `.prompt` in them; in any case, whatever their suffix. */
export function isPromptName(name: string): boolean {
  return PROMPTS.has(name.toLowerCase()) || name.toLowerCase().includes('.prompt');
}
