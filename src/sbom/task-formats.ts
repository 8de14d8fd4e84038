/** What goes into a model and comes out, by the tasks of the Hugging Face hub. */
const FORMATS: Readonly<Record<string, readonly [inputs: readonly string[], outputs: readonly string[]]>> = {
  'text-generation': [['text'], ['text']],
  'text2text-generation': [['text'], ['text']],
  summarization: [['text'], ['text']],
  translation: [['text'], ['text']],
  'question-answering': [['text'], ['text']],
  'fill-mask': [['text'], ['text']],
  'text-classification': [['text'], ['label']],
  'token-classification': [['text'], ['label']],
  'zero-shot-classification': [['text'], ['label']],
  'feature-extraction': [['text'], ['embedding']],
  'sentence-similarity': [['text'], ['embedding']],
  'image-classification': [['image'], ['label']],
  'object-detection': [['image'], ['label']],
  'image-segmentation': [['image'], ['image']],
  'image-to-text': [['image'], ['text']],
  'image-text-to-text': [['image', 'text'], ['text']],
  'text-to-image': [['text'], ['image']],
  'image-to-image': [['image'], ['image']],
  'text-to-video': [['text'], ['video']],
  'text-to-speech': [['text'], ['audio']],
  'automatic-speech-recognition': [['audio'], ['text']],
  'audio-classification': [['audio'], ['label']],
  'tabular-classification': [['tabular'], ['label']],
  'tabular-regression': [['tabular'], ['number']],
};

/** Undefined for a task that is not known. */
export function formatsOfTask(
  task: string | undefined,
): { readonly inputs: readonly string[]; readonly outputs: readonly string[] } | undefined {
  const found = task !== undefined && Object.hasOwn(FORMATS, task) ? FORMATS[task] : undefined;
  return found && { inputs: found[0], outputs: found[1] };
}
