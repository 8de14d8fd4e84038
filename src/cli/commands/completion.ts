import { Command } from 'commander';
import type { OpenContext } from '../context.ts';
import { COMMANDS } from '../commands.ts';
import { addGlobalOptions, oneOf } from '../options/global.ts';
import { type Completions, completionScript, SHELLS } from '../render/completion.ts';

export function register(command: Command, context: OpenContext): void {
  command
    .argument('<shell>', `one of ${SHELLS.join(', ')}`)
    .option('--no-descriptions', 'nothing: the script has no descriptions')
    .addHelpText('after', EXAMPLES)
    .action(async (shell: string) => {
      const known = oneOf('the shell', shell, SHELLS);
      const cli = await context();
      cli.result('text', undefined, [completionScript(known, ['kit', 'ocikit'], await allCompletions(context))]);
    });
}

const EXAMPLES = `
Examples:
  source <(kit completion bash)                       in ~/.bashrc
  source <(kit completion zsh)                        in ~/.zshrc, after compinit
  kit completion fish | source                        in ~/.config/fish/config.fish`;

async function allCompletions(context: OpenContext): Promise<Completions[]> {
  const program = addGlobalOptions(new Command('kit')).option('--version');
  for (const entry of COMMANDS) (await entry.load()).register(addGlobalOptions(program.command(entry.name)), context);
  return completionsOf(program, '');
}

function completionsOf(command: Command, path: string): Completions[] {
  const names = command.commands.map((below) => below.name());
  const flags = command.options.flatMap(({ long, hidden }) => (long == null || hidden ? [] : [long]));
  const below = command.commands.flatMap((one) => completionsOf(one, path === '' ? one.name() : `${path} ${one.name()}`));
  return [{ path, words: [...names, ...(path === '' ? ['help'] : []), ...flags, '--help'] }, ...below];
}
