import type { Command } from 'commander';
import { inspect } from '../../operations/inspect/inspect.ts';
import { stringifyLikeGo } from '../../oci/json.ts';
import type { Location } from '../../oci/reference.ts';
import type { Kit } from '../../operations/kit.ts';
import type { Lookup } from '../../operations/artifact/open-location.ts';
import type { CliContext, OpenContext } from '../context.ts';
import { addFormatOption, type FormatFlag } from '../options/format.ts';
import { addLabelOption, locateByLabel, type LabelFlag } from '../options/label.ts';
import { addNetworkOptions, type KitFlags } from '../options/network.ts';

type Flags = FormatFlag &
  KitFlags &
  LabelFlag & { readonly remote?: boolean; readonly tensors?: boolean; readonly includeRemote?: boolean };

export function register(command: Command, context: OpenContext): void {
  addNetworkOptions(
    addFormatOption(
      addLabelOption(command)
        .argument('<reference>', 'a ModelKit, or any other artifact, image or index; or oci:DIR[:tag]')
        .option('-r, --remote', 'look in the registry, not in local storage')
        .option('--tensors', 'read the headers of the weights: tensors, parameters, quantization, memory; nothing is downloaded')
        .option('--include-remote', 'with --tensors: also read the headers of weights that stay elsewhere (remotePath)'),
    ),
  )
    .addHelpText('after', EXAMPLES)
    .action(async (reference: string, flags: Flags) => run(reference, flags, await context()));
}

const EXAMPLES = `
Examples:
  kit inspect mymodel:v1
  kit inspect --remote ghcr.io/team/mymodel:v1 | jq .manifest.layers
  kit inspect --remote ghcr.io/team/image:v1 | jq -r .description
  kit inspect --remote --tensors ghcr.io/team/mymodel:v1
  kit inspect --tensors mymodel:v1 --format json | jq .summary.memory`;

// text and json are the same here: the command always answered in JSON. For a ModelKit in the fields that it always had
async function run(reference: string, flags: Flags, context: CliContext): Promise<void> {
  const kit = context.kit(flags);
  const lookup = flags.remote === true ? 'remote' : 'local';
  const location = await locateByLabel(kit, reference, lookup, flags, context.call);
  if (flags.tensors === true) return runTensors(kit, location, lookup, flags, context);
  const result = await inspect(kit, location, lookup, context.call);
  const { digest, cliVersion, format, description, problem, kitfileFields, manifest, index } = result;
  const kind = format === 'modelkit' && problem === undefined ? {} : { format, description, problem };
  context.result('text', undefined, [stringifyLikeGo({ digest, cliVersion, ...kind, kitfile: kitfileFields, manifest, index }, 2)]);
}

async function runTensors(kit: Kit, location: Location, lookup: Lookup, flags: Flags, context: CliContext): Promise<void> {
  const [{ inspectTensors }, { tensorsJson, tensorsLines }] = await Promise.all([
    import('../../operations/tensors/tensors.ts'),
    import('../render/tensors-text.ts'),
  ]);
  const result = await inspectTensors(kit, location, lookup, context.call, { includeRemote: flags.includeRemote === true });
  context.result(flags.format, tensorsJson(result), flags.format === 'json' ? [] : tensorsLines(result));
}
