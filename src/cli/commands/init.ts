import type { Command } from 'commander';
import { init } from '../../operations/init.ts';
import type { CliContext, OpenContext } from '../context.ts';
import { addFormatOption, type FormatFlag } from '../options/format.ts';
import { ask } from '../prompt.ts';

interface Flags extends FormatFlag {
  readonly name?: string;
  readonly desc?: string;
  readonly author?: string;
  readonly force?: boolean;
}

export function register(command: Command, context: OpenContext): void {
  addFormatOption(
    command
      .argument('<directory>', 'the directory to look at')
      .option('--name <name>', 'name of the ModelKit')
      .option('--desc <text>', 'description of the ModelKit')
      .option('--author <name>', 'author of the ModelKit')
      .option('-f, --force', 'overwrite a Kitfile that is there'),
  )
    .addHelpText('after', '\nExamples:\n  kit init .\n  kit init ./my-model --name mymodel --desc "This is my model" --author alice')
    .action(async (directory: string, flags: Flags) => run(directory, flags, await context()));
}

async function run(directory: string, flags: Flags, context: CliContext): Promise<void> {
  const prompt = async (given: string | undefined, question: string): Promise<string | undefined> =>
    given === undefined && context.isInteractive ? await ask(question) : given;
  const name = await prompt(flags.name, 'Enter a name for the ModelKit: ');
  const description = await prompt(flags.desc, 'Enter a short description for the ModelKit: ');
  const author = await prompt(flags.author, 'Enter an author for the ModelKit: ');
  const result = await init({ directory, name, description, author, force: flags.force === true });
  context.result(flags.format, { path: result.path, kitfile: result.kitfile }, [
    `Generated Kitfile:\n\n${result.text}`,
    `Saved to path '${result.path}'`,
  ]);
}
