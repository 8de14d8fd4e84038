import type { JsonValue } from '../oci/json.ts';

/** What the front matter of a model card says (https://huggingface.co/docs/hub/model-cards). */
export interface ModelCard {
  readonly license: string | undefined;
  /** `text-generation`. */
  readonly task: string | undefined;
  readonly library: string | undefined;
  readonly languages: readonly string[];
  readonly tags: readonly string[];
  /** What it was trained on. */
  readonly datasets: readonly string[];
  readonly baseModels: readonly string[];
  readonly metrics: readonly ModelMetric[];
}

export interface ModelMetric {
  readonly type: string;
  readonly value: string;
  /** What it was measured on. */
  readonly dataset: string | undefined;
}

type Fields = { readonly [key: string]: JsonValue };

/** Whatever is not as the documentation has it is left out: cards are written by hand. */
export function readModelCard(fields: Fields): ModelCard {
  const license = texts(fields['license'])[0];
  return {
    // `other` is explained by the fields beside it
    license: license === 'other' ? texts(fields['license_name'])[0] : license,
    task: texts(fields['pipeline_tag'])[0],
    library: texts(fields['library_name'])[0],
    languages: texts(fields['language']),
    tags: texts(fields['tags']),
    datasets: texts(fields['datasets']),
    baseModels: texts(fields['base_model']),
    metrics: items(fields['model-index']).flatMap((model) => items(model['results']).flatMap(metricsOf)),
  };
}

function metricsOf(result: Fields): ModelMetric[] {
  const { name, type } = object(result['dataset']);
  const dataset = texts(name)[0] ?? texts(type)[0];
  return items(result['metrics']).flatMap((metric) => {
    const kind = texts(metric['type'])[0];
    const value = metric['value'];
    const isPlain = typeof value === 'number' || typeof value === 'string' || typeof value === 'bigint';
    return kind === undefined || !isPlain ? [] : [{ type: kind, value: String(value), dataset }];
  });
}

/** One text or a list of them. */
function texts(value: JsonValue | undefined): string[] {
  const list = Array.isArray(value) ? value : [value];
  return [...new Set(list.flatMap((one) => (typeof one === 'string' && one.trim() !== '' ? [one.trim()] : [])))];
}

function object(value: JsonValue | undefined): Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : {};
}

function items(value: JsonValue | undefined): Fields[] {
  return Array.isArray(value) ? value.map(object) : [];
}
