import type { Command } from 'commander';
import { info } from '../../operations/inspect/inspect.ts';
import { selectField } from '../../operations/query/select-field.ts';
import type { CliContext, OpenContext } from '../context.ts';
import { addFormatOption, type FormatFlag } from '../options/format.ts';
import { addLabelOption, locateByLabel, type LabelFlag } from '../options/label.ts';
import { addNetworkOptions, type KitFlags } from '../options/network.ts';

type Flags = FormatFlag & KitFlags & LabelFlag & { readonly remote?: boolean; readonly filter?: string };

export function register(command: Command, context: OpenContext): void {
  addNetworkOptions(
    addFormatOption(
      addLabelOption(command)
        .argument('<reference>', 'a ModelKit, or oci:DIR[:tag]')
        .option('-r, --remote', 'look in the registry, not in local storage')
        .option('-f, --filter <field>', 'one field of the Kitfile, for example model.path or datasets[0].name'),
    ),
  )
    .addHelpText('after', EXAMPLES)
    .action(async (reference: string, flags: Flags) => run(reference, flags, await context()));
}

const EXAMPLES = `
Examples:
  kit info mymodel:v1
  kit info mymodel:v1 --filter model.parameters.learning_rate
  kit info --remote ghcr.io/team/mymodel:v1 --format json`;

async function run(reference: string, flags: Flags, context: CliContext): Promise<void> {
  const kit = context.kit(flags);
  const lookup = flags.remote === true ? 'remote' : 'local';
  const location = await locateByLabel(kit, reference, lookup, flags, context.call);
  const { kitfile, text } = await info(kit, location, lookup, context.call);
  const shown = flags.filter === undefined ? { value: kitfile, text } : selectField(kitfile, flags.filter);
  context.result(flags.format, shown.value, [shown.text.replace(/\n$/, '')]);
}
