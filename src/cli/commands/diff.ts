import type { Command } from 'commander';
import { diff, type DiffResult, type DiffSide } from '../../operations/diff/diff.ts';
import type { FilesDiff } from '../../operations/diff/files.ts';
import type { LayerFile } from '../../operations/artifact/layer-files.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import { formatLocation, type Location, parseLocation } from '../../oci/reference.ts';
import { EXIT } from '../../errors.ts';
import type { CliContext, OpenContext } from '../context.ts';
import { addFormatOption, type FormatFlag } from '../options/format.ts';
import { addNetworkOptions, type KitFlags } from '../options/network.ts';
import { singleLine } from '../render/plain-text.ts';
import { formatBytes } from '../render/text.ts';

type Flags = FormatFlag &
  KitFlags & { readonly kitfile?: boolean; readonly files?: boolean; readonly tensors?: boolean; readonly exitCode?: boolean };

export function register(command: Command, context: OpenContext): void {
  addNetworkOptions(
    addFormatOption(
      command
        .argument('<a>', 'a ModelKit; local://... or remote://... says where to look')
        .argument('<b>', 'the ModelKit to compare it with')
        .option('--kitfile', 'show the fields of the Kitfile that differ (--format json always has them)')
        .option('--files', 'compare the files in the layers that differ, by their headers')
        .option('--exit-code', 'exit with 1 when they are not identical')
        .option('--tensors', 'compare the tensors, by the headers of the weights and the digests of layers; nothing is downloaded'),
    ),
  )
    .addHelpText('after', EXAMPLES)
    .action(async (a: string, b: string, flags: Flags) => run(a, b, flags, await context()));
}

const EXAMPLES = `
Examples:
  kit diff mymodel:v1 mymodel:v2
  kit diff --kitfile --files ghcr.io/team/mymodel:v1 ghcr.io/team/mymodel:v2
  kit diff --exit-code mymodel:v1 oci:./layout:v1 > /dev/null && echo the same
  kit diff local://ghcr.io/team/mymodel:v1 remote://ghcr.io/team/mymodel:v1
  kit diff --tensors ghcr.io/team/mymodel:v1 ghcr.io/team/mymodel:v2`;

async function run(a: string, b: string, flags: Flags, context: CliContext): Promise<void> {
  const [one, other] = [parseSide(a), parseSide(b)];
  if (flags.tensors === true) return runTensors(one, other, flags, context);
  const result = await diff(context.kit(flags), { a: one, b: other, files: flags.files === true }, context.call);
  if (flags.exitCode === true && !result.identical) context.status = EXIT.failure;
  const lines = result.identical ? ['ModelKits are identical'] : describe(result, nameOf(one.location), nameOf(other.location));
  if (flags.kitfile === true && !result.identical) lines.push(...kitfileSection(result));
  if (result.files !== undefined && !result.identical) lines.push(...filesSection(result.files));
  context.result(flags.format, result, lines);
}

async function runTensors(a: DiffSide, b: DiffSide, flags: Flags, context: CliContext): Promise<void> {
  const [{ diffTensors }, { tensorsDiffLines }] = await Promise.all([
    import('../../operations/diff/tensors.ts'),
    import('../render/tensors-text.ts'),
  ]);
  const result = await diffTensors(context.kit(flags), a, b, context.call);
  if (flags.exitCode === true && result.a.digest !== result.b.digest) context.status = EXIT.failure;
  context.result(flags.format, result, flags.format === 'json' ? [] : tensorsDiffLines(result));
}

function parseSide(text: string): DiffSide {
  const [, where, rest] = /^(local|remote):\/\/(.*)$/s.exec(text) ?? [];
  return { location: parseLocation(rest ?? text), lookup: where === undefined ? 'local-first' : (where as 'local' | 'remote') };
}

/** kit shows local names under the registry `localhost`. */
function nameOf(location: Location): string {
  const isLocalName = location.type === 'reference' && location.reference.registry === undefined;
  return `${isLocalName ? 'localhost/' : ''}${formatLocation(location)}`;
}

const RULE = '---------------------------------------';

function describe(result: DiffResult, a: string, b: string): string[] {
  return [
    'Comparing:',
    `  ModelKit1: ${a}`,
    `  ModelKit2: ${b}`,
    '',
    'Configurations:',
    RULE,
    ...(result.sameConfig
      ? [`  Configs are identical (Digest: ${result.a.config.slice(0, 17)})`]
      : [
          'Configs differ:',
          `  ModelKit1 Config Digest: ${result.a.config.slice(0, 17)}`,
          `  ModelKit2 Config Digest: ${result.b.config.slice(0, 17)}`,
        ]),
    '',
    'Annotations:',
    RULE,
    result.annotationsMatch ? '  Annotations are identical ' : '  Annotations does not match',
    '',
    ...section('Shared Layers', result.shared),
    ...section(`Unique Layers to ModelKit1 (${a})`, result.onlyA),
    ...section(`Unique Layers to ModelKit2 (${b})`, result.onlyB),
  ];
}

function section(title: string, layers: readonly Descriptor[]): string[] {
  if (layers.length === 0) return [title, RULE, '<none>', ''];
  const rows = layers.map(
    ({ mediaType, digest, size }) => `${typeName(mediaType).padEnd(7)} | ${digest.slice(0, 17).padEnd(18)} | ${formatBytes(size)}`,
  );
  return [title, RULE, 'Type    | Digest             | Size', ...rows, ''];
}

function kitfileSection({ kitfile = [] }: DiffResult): string[] {
  const rows = kitfile.flatMap(({ field, before, after }) => [
    ...(before === undefined ? [] : [`- ${singleLine(`${field}: ${before}`)}`]),
    ...(after === undefined ? [] : [`+ ${singleLine(`${field}: ${after}`)}`]),
  ]);
  return ['Kitfile', RULE, ...(rows.length === 0 ? ['<none>'] : rows), ''];
}

function filesSection({ added, removed, changed, undecided, read }: FilesDiff): string[] {
  const rows = [
    ...removed.map((file) => ({ path: file.path, text: `- ${nameAndSize(file)}` })),
    ...added.map((file) => ({ path: file.path, text: `+ ${nameAndSize(file)}` })),
    ...changed.map(({ a, b }) => ({ path: a.path, text: `! ${singleLine(a.path)} (${whatChanged(a, b)})` })),
    ...undecided.map((path) => ({ path, text: `? ${singleLine(path)} (same size; the layer differs)` })),
  ].toSorted((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
  const lines = rows.length === 0 ? ['<none>'] : rows.map(({ text }) => text);
  return [`Files (${formatBytes(read)} of the layers were read)`, RULE, ...lines, ''];
}

function nameAndSize({ path, size }: LayerFile): string {
  return `${singleLine(path)}${size === undefined ? '' : ` (${formatBytes(size)})`}`;
}

function whatChanged(a: LayerFile, b: LayerFile): string {
  const changes = [
    ...(a.type === b.type ? [] : [`${a.type} -> ${b.type}`]),
    ...(a.size === b.size || a.size === undefined || b.size === undefined ? [] : [`${formatBytes(a.size)} -> ${formatBytes(b.size)}`]),
    ...(a.mode === b.mode ? [] : [`mode ${a.mode.toString(8)} -> ${b.mode.toString(8)}`]),
  ];
  return changes.length === 0 ? 'content' : changes.join(', ');
}

/** `application/vnd.kitops.modelkit.code.v1.tar` as `Code`. */
function typeName(mediaType: string): string {
  const type = /^application\/vnd\.(?:kitops\.modelkit|cncf\.model|cnai\.model)\.([\w.]+)\.v1\./.exec(mediaType)?.[1];
  return type === undefined ? mediaType : type.charAt(0).toUpperCase() + type.slice(1);
}
