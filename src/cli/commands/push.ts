import type { Command } from 'commander';
import { push } from '../../operations/transfer.ts';
import { parseLocation } from '../../oci/reference.ts';
import type { CliContext, OpenContext } from '../context.ts';
import { addFormatOption, type FormatFlag } from '../options/format.ts';
import { addNetworkOptions, type KitFlags } from '../options/network.ts';

export function register(command: Command, context: OpenContext): void {
  addNetworkOptions(
    addFormatOption(
      command
        .argument('<source>', 'a ModelKit in local storage, or oci:DIR[:tag]')
        .argument('[destination]', 'where it goes (default: the registry that the source names)'),
    ),
  )
    .addHelpText('after', EXAMPLES)
    .action(async (source: string, destination: string | undefined, flags: FormatFlag & KitFlags) =>
      run(source, destination, flags, await context()),
    );
}

const EXAMPLES = `
Examples:
  kit push ghcr.io/team/mymodel:v1
  kit push ghcr.io/team/mymodel:v1,prod                    several tags
  kit push mymodel:v1 ghcr.io/team/mymodel:v1              under another name
  kit push oci:./layout:v1 localhost:5000/mymodel:v1       from an image layout`;

async function run(source: string, destination: string | undefined, flags: FormatFlag & KitFlags, context: CliContext): Promise<void> {
  const to = destination === undefined ? {} : { destination: parseLocation(destination) };
  const pushed = await push(context.kit(flags), { source: parseLocation(source), ...to }, context.call);
  context.result(
    flags.format,
    pushed,
    pushed.flatMap(({ reference, digest }) => [`Pushing ${reference}`, `Pushed ${digest}`]),
  );
}
