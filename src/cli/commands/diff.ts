import type { Command } from 'commander';
import { diff, type DiffResult, type DiffSide } from '../../operations/diff.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import { formatLocation, type Location, parseLocation } from '../../oci/reference.ts';
import type { CliContext, OpenContext } from '../context.ts';
import { addFormatOption, type FormatFlag } from '../options/format.ts';
import { addNetworkOptions, type KitFlags } from '../options/network.ts';
import { formatBytes } from '../render/text.ts';

export function register(command: Command, context: OpenContext): void {
  addNetworkOptions(
    addFormatOption(
      command
        .argument('<a>', 'a ModelKit; local://... or remote://... says where to look')
        .argument('<b>', 'the ModelKit to compare it with'),
    ),
  )
    .addHelpText('after', EXAMPLES)
    .action(async (a: string, b: string, flags: FormatFlag & KitFlags) => run(a, b, flags, await context()));
}

const EXAMPLES = `
Examples:
  kit diff mymodel:v1 mymodel:v2
  kit diff local://ghcr.io/team/mymodel:v1 remote://ghcr.io/team/mymodel:v1`;

async function run(a: string, b: string, flags: FormatFlag & KitFlags, context: CliContext): Promise<void> {
  const [one, other] = [parseSide(a), parseSide(b)];
  const result = await diff(context.kit(flags), one, other, context.call);
  context.result(
    flags.format,
    result,
    result.identical ? ['ModelKits are identical'] : describe(result, nameOf(one.location), nameOf(other.location)),
  );
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

/** `application/vnd.kitops.modelkit.code.v1.tar` as `Code`. */
function typeName(mediaType: string): string {
  const type = /^application\/vnd\.(?:kitops\.modelkit|cncf\.model|cnai\.model)\.([\w.]+)\.v1\./.exec(mediaType)?.[1];
  return type === undefined ? mediaType : type.charAt(0).toUpperCase() + type.slice(1);
}
