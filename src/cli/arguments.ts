import type { Command, Option } from 'commander';

const TRUE: ReadonlySet<string> = new Set(['true', 't', '1', 'T', 'TRUE', 'True']);
const FALSE: ReadonlySet<string> = new Set(['false', 'f', '0', 'F', 'FALSE', 'False']);

/**
 * Go's spellings in commander's: `--flag=true`, `--flag=false`, `-d=DIR`.
 * Scripts written for KitOps' kit use them.
 */
export function normalizeArguments(argv: readonly string[], program: Command): string[] {
  const options = withSubcommands(program).flatMap((command) => command.options);
  const end = argv.indexOf('--');
  const flags = end === -1 ? argv : argv.slice(0, end);
  const rest = end === -1 ? [] : argv.slice(end);
  return [...flags.flatMap((word) => normalize(word, options)), ...rest];
}

function withSubcommands(command: Command): Command[] {
  return [command, ...command.commands.flatMap(withSubcommands)];
}

function normalize(word: string, options: readonly Option[]): string[] {
  // a value that may be left out comes after `=` only, or the word that follows would be it
  const preset = options.find(({ long, optional }) => optional && long === word)?.presetArg;
  if (typeof preset === 'string') return [`${word}=${preset}`];
  const [, name, value] = /^(--?[a-zA-Z][\w-]*)=(.*)$/s.exec(word) ?? [];
  if (name === undefined || value === undefined) return [word];
  const option = options.find(({ long, short }) => long === name || short === name);
  if (option === undefined) return [word];
  if (!option.isBoolean()) return option.short === name ? [name, value] : [word];
  if (TRUE.has(value)) return [name];
  if (!FALSE.has(value)) return [word];
  const negation = `--no-${name.slice(2)}`;
  // a flag that is off by default is turned off by leaving it out
  return options.some(({ long }) => long === negation) ? [negation] : [];
}
