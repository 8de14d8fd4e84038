import { formatParameters } from '../../formats/model-facts.ts';
import type { ModelSummary } from '../../model-files/summary.ts';
import type { PlacedTensor, TensorsDiff } from '../../operations/diff/tensors.ts';
import type { TensorsResult } from '../../operations/tensors/tensors.ts';
import { singleLine } from './plain-text.ts';
import { formatBytes, formatTable } from './text.ts';

/** What stdout gets in JSON: all but what only serves to put the rest together. */
export function tensorsJson({ files, ...result }: TensorsResult): unknown {
  return { ...result, files: files.map(({ traits: _traits, shards: _shards, ...file }) => file) };
}

export function tensorsLines({ reference, digest, summary, files, unread, read }: TensorsResult): string[] {
  const rows = files.flatMap(({ path, layer, remote, tensors }) =>
    tensors.map(({ name, dtype, shape, parameters, bytes }) => [
      singleLine(name),
      singleLine(dtype),
      `[${shape.join(', ')}]`,
      grouped(parameters),
      bytes === undefined ? '?' : formatBytes(bytes),
      remote === undefined ? layer.slice(0, 19) : 'elsewhere',
      singleLine(path),
    ]),
  );
  const isPartial = files.some(({ verified }) => !verified);
  return [
    `${singleLine(reference)} (${digest})`,
    ...summaryLines(summary),
    ...section('DTYPE TENSORS PARAMETERS SIZE', summary.dtypes.map(totalRow)),
    ...section(
      'FILE FORMAT TENSORS WEIGHTS VERIFIED LAYER',
      files.map(({ path, description, tensors, weights, verified, layer, remote }) => [
        singleLine(path),
        singleLine(description),
        String(tensors.length),
        formatBytes(weights),
        verified ? 'yes' : 'no',
        remote === undefined ? layer : `at ${singleLine(remote)}`,
      ]),
    ),
    ...section('TENSOR DTYPE SHAPE PARAMETERS SIZE LAYER FILE', rows),
    ...graphLines(files),
    ...problemLines(summary.missing, unread),
    '',
    `Read ${formatBytes(read.bytes)} of the layers in ${count(read.requests, 'request')}.${isPartial ? ` ${PARTIAL}` : ''}`,
  ];
}

const PARTIAL = 'Parts of a layer cannot be checked against its digest: what is not verified is what the registry or disk says.';

function summaryLines(summary: ModelSummary): string[] {
  const { formats, architecture, parameters, quantization, contextLength, chatTemplate, memory } = summary;
  const short = formatParameters(parameters, 2);
  const cache = memory.keyValueCache === undefined ? '' : ` + ${formatBytes(memory.keyValueCache)} for keys and values at full context`;
  const largest = memory.blocks.reduce((most, { bytes }) => Math.max(most, bytes), 0);
  const facts: readonly (readonly [string, string | undefined])[] = [
    ['Format', formats.join(', ') || 'no file with tensors'],
    ['Architecture', architecture],
    ['Parameters', short === String(parameters) ? short : `${grouped(parameters)} (${short})`],
    ['Quantization', quantization],
    ['Context length', contextLength === undefined ? undefined : `${grouped(contextLength)} tokens`],
    ['Chat template', chatTemplate === undefined ? undefined : `${count(chatTemplate.length, 'character')}; --format json shows it`],
    ['Memory', `${formatBytes(memory.weights)} of weights${cache}: about ${formatBytes(memory.total)}`],
    [
      'Blocks',
      memory.blocks.length === 0
        ? undefined
        : `${memory.blocks.length} of up to ${formatBytes(largest)} each, ${formatBytes(memory.otherWeights)} outside of them`,
    ],
  ];
  return formatTable(facts.flatMap(([name, value]) => (value === undefined ? [] : [[`${name}:`, singleLine(value)]])));
}

function totalRow({ dtype, tensors, parameters, bytes }: ModelSummary['dtypes'][number]): string[] {
  return [singleLine(dtype), String(tensors), grouped(parameters), formatBytes(bytes)];
}

function graphLines(files: TensorsResult['files']): string[] {
  const rows = files.flatMap(({ path, inputs = [], outputs = [] }) =>
    [...inputs.map((value) => ({ kind: 'input', value })), ...outputs.map((value) => ({ kind: 'output', value }))].map(
      ({ kind, value }) => [
        kind,
        singleLine(value.name),
        singleLine(value.dtype),
        singleLine(`[${value.shape.join(', ')}]`),
        singleLine(path),
      ],
    ),
  );
  return section('GRAPH NAME DTYPE SHAPE FILE', rows);
}

function problemLines(missing: readonly string[], unread: TensorsResult['unread']): string[] {
  return [
    ...(missing.length === 0 ? [] : ['', 'Missing files of the model:', ...missing.map((path) => `  ${singleLine(path)}`)]),
    ...(unread.length === 0 ? [] : ['', 'Not read:', ...unread.map(({ path, reason }) => `  ${singleLine(path)}: ${singleLine(reason)}`)]),
  ];
}

export function tensorsDiffLines({ a, b, added, removed, changed, moved, identical, undecided, unread }: TensorsDiff): string[] {
  const differences = added.length + removed.length + changed.length + moved.length;
  return [
    `a: ${singleLine(a.reference)} (${a.digest})`,
    `b: ${singleLine(b.reference)} (${b.digest})`,
    ...titled(`Added (${added.length})`, added.map(tensorRow)),
    ...titled(`Removed (${removed.length})`, removed.map(tensorRow)),
    ...titled(`Changed type or shape (${changed.length})`, changed.map(pairRow)),
    ...titled(`Moved to another file (${moved.length})`, moved.map(pairRow)),
    ...titled(
      'Same headers in layers that differ: their content may have changed',
      undecided.map(({ path, tensors }) => [singleLine(path), count(tensors, 'tensor')]),
    ),
    ...problemLines([], unread),
    '',
    `${count(identical, 'tensor')} identical by the digests of their layers${differences + undecided.length === 0 ? '; the tensors do not differ' : ''}`,
  ];
}

function tensorRow(tensor: PlacedTensor): string[] {
  return [singleLine(tensor.name), typeOf(tensor), singleLine(tensor.path)];
}

function pairRow({ a, b }: TensorsDiff['changed'][number]): string[] {
  const type = typeOf(a) === typeOf(b) ? typeOf(b) : `${typeOf(a)} -> ${typeOf(b)}`;
  return [singleLine(b.name), type, singleLine(a.path === b.path ? b.path : `${a.path} -> ${b.path}`)];
}

function typeOf({ dtype, shape }: PlacedTensor): string {
  return singleLine(`${dtype} [${shape.join(', ')}]`);
}

function titled(title: string, rows: readonly (readonly string[])[]): string[] {
  return rows.length === 0 ? [] : ['', `${title}:`, ...formatTable(rows).map((row) => `  ${row.trimEnd()}`)];
}

function section(head: string, rows: readonly (readonly string[])[]): string[] {
  return rows.length === 0 ? [] : ['', ...formatTable([head.split(' '), ...rows])];
}

function grouped(value: number): string {
  return value.toLocaleString('en');
}

function count(value: number, noun: string): string {
  return `${grouped(value)} ${noun}${value === 1 ? '' : 's'}`;
}
