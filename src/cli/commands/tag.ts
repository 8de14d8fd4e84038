import type { Command } from 'commander';
import { tag } from '../../operations/store/tag.ts';
import { parseReference } from '../../oci/reference.ts';
import type { CliContext, OpenContext } from '../context.ts';
import { addFormatOption, type FormatFlag } from '../options/format.ts';

export function register(command: Command, context: OpenContext): void {
  addFormatOption(
    command.argument('<source>', 'a ModelKit in local storage').argument('<destination>', 'its new name, with one tag or several'),
  )
    .addHelpText('after', EXAMPLES)
    .action(async (source: string, destination: string, flags: FormatFlag) => run(source, destination, flags, await context()));
}

const EXAMPLES = `
Examples:
  kit tag mymodel:v1 ghcr.io/team/mymodel:v1     ready to push
  kit tag mymodel:v1 mymodel:prod                roll back: prod is v1 again`;

async function run(source: string, destination: string, flags: FormatFlag, context: CliContext): Promise<void> {
  const result = await tag(context.kit({}), parseReference(source), parseReference(destination), context.call);
  context.result(flags.format, result, [`Modelkit ${result.source} tagged as ${result.destination}`]);
}
