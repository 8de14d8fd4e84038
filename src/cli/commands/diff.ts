import type { Command } from 'commander';
import { diff } from '../../operations/diff/diff.ts';
import type { IndexesDiff } from '../../operations/diff/indexes.ts';
import type { DiffSide, DiffSides } from '../../operations/diff/sides.ts';
import { formatLocation, type Location, parseLocation } from '../../oci/reference.ts';
import { EXIT } from '../../errors.ts';
import type { CliContext, OpenContext } from '../context.ts';
import { addFormatOption, type FormatFlag } from '../options/format.ts';
import { addLabelOption, type LabelFlag, selectorOf } from '../options/label.ts';
import { addNetworkOptions, type KitFlags } from '../options/network.ts';
import { diffLines, indexesDiffLines } from '../render/diff-text.ts';

interface Flags extends FormatFlag, KitFlags, LabelFlag {
  readonly kitfile?: boolean;
  readonly files?: boolean;
  readonly tensors?: boolean;
  readonly includeRemote?: boolean;
  readonly exitCode?: boolean;
}

export function register(command: Command, context: OpenContext): void {
  addNetworkOptions(
    addFormatOption(
      addLabelOption(command)
        .argument('<a>', 'a ModelKit or an index of several; local://... or remote://... says where to look')
        .argument('<b>', 'what to compare it with')
        .option('--kitfile', 'show the fields of the Kitfile that differ (--format json always has them)')
        .option('--files', 'compare the files in the layers that differ, by their headers')
        .option('--exit-code', 'exit with 1 when they are not identical')
        .option('--tensors', 'compare the tensors, by the headers of the weights and the digests of layers; nothing is downloaded')
        .option('--include-remote', 'with --tensors: read the headers of weights that stay elsewhere (remotePath)'),
    ),
  )
    .addHelpText('after', EXAMPLES)
    .action(async (a: string, b: string, flags: Flags) => run(a, b, flags, await context()));
}

const EXAMPLES = `
Of two indexes the members with the same labels are compared, else those with the same platform, digest or tag. Of an index and a ModelKit
it is the member that is the same, or the only one, or the one that --label chooses.

Examples:
  kit diff mymodel:v1 mymodel:v2
  kit diff --kitfile --files ghcr.io/team/mymodel:v1 ghcr.io/team/mymodel:v2
  kit diff --exit-code mymodel:v1 oci:./layout:v1 > /dev/null && echo the same
  kit diff local://ghcr.io/team/mymodel:v1 remote://ghcr.io/team/mymodel:v1
  kit diff --tensors ghcr.io/team/mymodel:v1 ghcr.io/team/mymodel:v2
  kit diff ghcr.io/team/mymodel:all-v1 ghcr.io/team/mymodel:all-v2 --label quantization=q4_0`;

async function run(a: string, b: string, flags: Flags, context: CliContext): Promise<void> {
  const sides = { a: parseSide(a), b: parseSide(b), labels: await selectorOf(flags) };
  if (flags.tensors === true) return runTensors(sides, flags, context);
  const result = await diff(context.kit(flags), { ...sides, files: flags.files === true }, context.call);
  if (flags.exitCode === true && !result.identical) context.status = EXIT.failure;
  const withKitfile = flags.kitfile === true;
  const lines = isOfIndexes(result)
    ? indexesDiffLines(result, (one, pair) => diffLines(one, { a: pair.a.reference, b: pair.b.reference, withKitfile }))
    : diffLines(result, { a: nameOf(sides.a.location), b: nameOf(sides.b.location), withKitfile });
  context.result(flags.format, result, lines);
}

async function runTensors(sides: DiffSides, flags: Flags, context: CliContext): Promise<void> {
  const [{ diffTensors }, { tensorsDiffLines }] = await Promise.all([
    import('../../operations/diff/tensors.ts'),
    import('../render/tensors-text.ts'),
  ]);
  const result = await diffTensors(context.kit(flags), { ...sides, includeRemote: flags.includeRemote === true }, context.call);
  if (flags.exitCode === true && result.a.digest !== result.b.digest) context.status = EXIT.failure;
  const lines = (): string[] => (isOfIndexes(result) ? indexesDiffLines(result, tensorsDiffLines) : tensorsDiffLines(result));
  context.result(flags.format, result, flags.format === 'json' ? [] : lines());
}

function isOfIndexes<Result extends object>(result: Result | IndexesDiff<Result>): result is IndexesDiff<Result> {
  return 'members' in result;
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
