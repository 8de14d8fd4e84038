import { KitError } from '../../errors.ts';
import { annotatedPath } from '../../formats/file-annotations.ts';
import { checkObjectName } from './names.ts';
import { type Generated, metadataOf, type ObjectOptions, type PullOptions, pullFields } from './object.ts';
import type { Subject } from './subject.ts';

/** How KServe gets at a model: `kit` is KitOps' storage container, the others read a Modelcar. */
export const MODEL_SCHEMES = ['kit', 'oci', 'oci+modelcar', 'oci+native', 'oci+fetch'] as const;
export type ModelScheme = (typeof MODEL_SCHEMES)[number];

export interface KserveOptions extends ObjectOptions, PullOptions {
  readonly scheme: ModelScheme;
  /** KServe's name for the format; default: what the artifact tells. */
  readonly modelFormat?: string;
  /** A ServingRuntime; default: one that supports the format. */
  readonly runtime?: string;
  /** Requests in a hundred that the new version gets; the rest stays with the version before. */
  readonly canaryPercent?: number;
  /** True: the version before takes over again. */
  readonly rollback?: boolean;
}

/** An InferenceService; `previous` is the version before. @throws KitError USAGE */
export function kserveObjects(subject: Subject, previous: Subject | undefined, options: KserveOptions): Generated {
  const { canaryPercent, rollback, scheme, runtime } = options;
  checkRollout(canaryPercent, rollback === true, previous);
  const uri = (of: Subject): string => `${scheme}://${of.pinned}`;
  const served = rollback === true && previous !== undefined ? previous : subject;
  const isCanary = canaryPercent !== undefined;
  const metadata = metadataOf({ ...served, repository: subject.repository }, options, {
    ...(previous !== undefined && rollback !== true && { 'ocikit/previous': uri(previous) }),
    // the canary has an address of its own, to be tried before it gets requests
    ...(isCanary && { 'serving.kserve.io/enable-tag-routing': 'true' }),
  });
  const model = {
    modelFormat: { name: options.modelFormat === undefined ? guessFormat(served) : checkObjectName('--model-format', options.modelFormat) },
    ...(runtime !== undefined && { runtime: checkObjectName('--runtime', runtime) }),
    storageUri: uri(served),
  };
  const predictor = { ...(isCanary && { canaryTrafficPercent: canaryPercent }), ...pullFields(options), model };
  const object = { apiVersion: 'serving.kserve.io/v1beta1', kind: 'InferenceService', metadata, spec: { predictor } };
  const patch = (changes: object): string => {
    const namespace = metadata.namespace === undefined ? '' : ` -n ${metadata.namespace}`;
    return `kubectl patch inferenceservice ${metadata.name}${namespace} --type merge -p '${JSON.stringify({ spec: { predictor: changes } })}'`;
  };
  const notes: string[] = [];
  if (isCanary) notes.push(`promote: ${patch({ canaryTrafficPercent: null })}`);
  if (previous !== undefined && rollback !== true)
    notes.push(`roll back: ${patch({ canaryTrafficPercent: null, model: { storageUri: uri(previous) } })}`);
  else if (isCanary) notes.push(`roll back: ${patch({ canaryTrafficPercent: 0 })}`);
  return { objects: [object], notes };
}

function checkRollout(percent: number | undefined, rollback: boolean, previous: Subject | undefined): void {
  if (percent !== undefined && !(Number.isInteger(percent) && percent >= 0 && percent <= 100)) {
    throw new KitError('USAGE', `invalid value \`${percent}\` for --canary-percent`, { hint: 'write a whole number from 0 to 100' });
  }
  if (!rollback) return;
  if (previous === undefined) throw new KitError('USAGE', '--rollback needs --previous', { hint: 'name the version to go back to' });
  if (percent !== undefined)
    throw new KitError('USAGE', '--rollback and --canary-percent contradict each other', { hint: 'give one of them' });
}

/** Names that model frameworks go by, and what KServe calls their formats. */
const FRAMEWORKS: Readonly<Record<string, string>> = {
  sklearn: 'sklearn',
  'scikit-learn': 'sklearn',
  xgboost: 'xgboost',
  lightgbm: 'lightgbm',
  tensorflow: 'tensorflow',
  pytorch: 'pytorch',
  torch: 'pytorch',
  onnx: 'onnx',
  paddle: 'paddle',
  pmml: 'pmml',
  mlflow: 'mlflow',
  transformers: 'huggingface',
  huggingface: 'huggingface',
};

const ENDINGS: readonly (readonly [RegExp, string])[] = [
  [/\.(?:safetensors|gguf)$/i, 'huggingface'],
  [/\.(?:joblib|pkl|pickle)$/i, 'sklearn'],
  [/\.(?:bst|ubj)$/i, 'xgboost'],
  [/\.onnx$/i, 'onnx'],
  [/\.(?:pt|pth|mar)$/i, 'pytorch'],
  [/\.pmml$/i, 'pmml'],
  [/\.pdiparams$/i, 'paddle'],
  [/(?:^|\/)saved_model\.pb$/i, 'tensorflow'],
];

/** @throws KitError USAGE where the artifact does not tell */
function guessFormat({ examined, reference }: Subject): string {
  const model = examined?.artifact?.kitfile?.model;
  const framework = FRAMEWORKS[model?.framework?.toLowerCase() ?? ''];
  if (framework !== undefined) return framework;
  const content = examined?.content;
  const layers = content !== undefined && 'layers' in content ? content.layers : [];
  const paths = [model?.path, ...(model?.parts ?? []).map((part) => part.path), ...layers.map(annotatedPath)];
  const found = paths.flatMap((path) => ENDINGS.find(([ending]) => ending.test(path ?? ''))?.[1] ?? [])[0];
  if (found !== undefined) return found;
  throw new KitError(
    'USAGE',
    `${reference}: the format of the model is not known${examined === undefined ? ' without asking the registry' : ''}`,
    {
      hint: 'add `--model-format NAME`, for example sklearn, xgboost, onnx, pytorch or huggingface',
    },
  );
}
