import type { Command } from 'commander';
import { KitError } from '../../errors.ts';
import { init, type InitResult } from '../../operations/pack/init.ts';
import type { CliContext, OpenContext } from '../context.ts';
import { addDepthOption, type DepthFlag } from '../options/depth.ts';
import { addFormatOption, type FormatFlag } from '../options/format.ts';
import { collect } from '../options/network.ts';
import { ask } from '../prompt.ts';

interface Flags extends DepthFlag, FormatFlag {
  readonly name?: string;
  readonly desc?: string;
  readonly author?: string;
  readonly force?: boolean;
  readonly remote?: boolean;
  readonly ref?: string;
  readonly token?: string;
  readonly output?: string;
  readonly include?: readonly string[];
  readonly exclude?: readonly string[];
}

/** What makes sense for a repository elsewhere only. */
const REMOTE_FLAGS = ['ref', 'token', 'include', 'exclude'] as const;

export function register(command: Command, context: OpenContext): void {
  addFormatOption(
    addDepthOption(command)
      .argument('<directory>', 'the directory to look at; with --remote what `kit import` takes')
      .option('--name <name>', 'name of the ModelKit')
      .option('--desc <text>', 'description of the ModelKit')
      .option('--author <name>', 'author of the ModelKit')
      .option('-f, --force', 'overwrite a Kitfile that is there')
      .option('--remote', 'look at a repository elsewhere, without downloading it')
      .option('--ref <revision>', 'with --remote: branch, tag or commit (default: main)')
      .option('--token <token>', 'with --remote: token for the source')
      .option('-o, --output <file>', 'the file to write, or - for standard output (default: Kitfile in the directory; with --remote -)')
      .option('--include <glob>', 'with --remote: only files that match (repeatable)', collect)
      .option('--exclude <glob>', 'with --remote: no files that match (repeatable)', collect),
  )
    .addHelpText('after', EXAMPLES)
    .action(async (directory: string, flags: Flags) => (flags.remote === true ? runRemote : run)(directory, flags, await context()));
}

const EXAMPLES = `
Examples:
  kit init .
  kit init ./my-model --name mymodel --desc "This is my model" --author alice
  kit init ./my-model -o -                         only show it
  kit init --remote Qwen/Qwen3-0.6B -o Kitfile     then change it, and: kit import Qwen/Qwen3-0.6B -f Kitfile`;

async function run(directory: string, flags: Flags, context: CliContext): Promise<void> {
  const misplaced = REMOTE_FLAGS.find((flag) => flags[flag] !== undefined);
  if (misplaced !== undefined) throw new KitError('USAGE', `--${misplaced} needs --remote`);
  const prompt = async (given: string | undefined, question: string): Promise<string | undefined> =>
    given === undefined && context.isInteractive ? await ask(question) : given;
  const name = await prompt(flags.name, 'Enter a name for the ModelKit: ');
  const description = await prompt(flags.desc, 'Enter a short description for the ModelKit: ');
  const author = await prompt(flags.author, 'Enter an author for the ModelKit: ');
  const { output, depth, force } = flags;
  report(await init({ directory, name, description, author, depth, output, force: force === true }), flags, context);
}

async function runRemote(source: string, flags: Flags, context: CliContext): Promise<void> {
  const { initRemote } = await import('../../operations/import/init-remote.ts');
  const { name, desc: description, author, ref: revision, token, depth, output, include, exclude, force } = flags;
  const details = { name, description, author, revision, token, depth, output, include, exclude };
  report(await initRemote(context.kit({}), { source, ...details, force: force === true }, context.call), flags, context);
}

function report({ path, kitfile, text }: InitResult, { format }: FormatFlag, context: CliContext): void {
  const lines = path === undefined ? [text.trimEnd()] : [`Generated Kitfile:\n\n${text}`, `Saved to path '${path}'`];
  context.result(format, { path, kitfile }, lines);
}
